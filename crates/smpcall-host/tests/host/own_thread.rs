//! What one of a machine's own threads does to its machine: it may be the last to hold it.

use crate::site::{Flag, IDLES, Witness, bounded, counted, eventually};
use smpcall_host::smpcall::CallError;
use smpcall_host::{Machine, ShutdownError};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, Weak, mpsc};

/// The machine, to be given away once.
type Slot = Arc<Mutex<Option<Arc<Machine>>>>;

/// Posts a function that takes the machine out of the slot as soon as nobody else holds it.
fn post_the_last_holder(machine: Arc<Machine>, then: impl Fn(Arc<Machine>) + Send + Sync + 'static) {
    let slot: Slot = Arc::new(Mutex::new(Some(Arc::clone(&machine))));
    let alone = Arc::new(Flag::default());
    let last = {
        let alone = Arc::clone(&alone);
        counted(move || {
            alone.wait();
            let machine = slot.lock().unwrap().take().expect("it is taken once");
            assert_eq!(Arc::strong_count(&machine), 1);
            then(machine);
        })
    };
    machine.post(1, &last).unwrap();
    drop(machine);
    alone.set();
}

#[test]
fn p8_a_function_drops_the_machine_that_runs_it() {
    let _bounded = bounded();
    for idle in IDLES {
        let (builder, witness) = Witness::new(Machine::builder().owned(3).idle(idle));
        post_the_last_holder(Arc::new(builder.build().unwrap()), drop);
        eventually(|| witness.is_gone());
    }
}

thread_local! {
    static HELD_TO_THE_END: RefCell<Option<Arc<Machine>>> = const { RefCell::new(None) };
    static ASKS_AT_THE_END: RefCell<Option<Asks>> = const { RefCell::new(None) };
}

#[test]
fn p8_a_machine_that_its_own_thread_drops_with_its_last_destructors() {
    let _bounded = bounded();
    for idle in IDLES {
        let (builder, witness) = Witness::new(Machine::builder().owned(3).idle(idle));
        post_the_last_holder(Arc::new(builder.build().unwrap()), |machine| {
            assert_eq!(machine.shutdown(), Err(ShutdownError::OwnThread));
            HELD_TO_THE_END.set(Some(machine));
        });
        eventually(|| witness.is_gone());
    }
}

/// Asks its machine for this and that when its thread ends.
struct Asks(Weak<Machine>, mpsc::Sender<(Result<(), ShutdownError>, Result<(), CallError>)>);

impl Drop for Asks {
    fn drop(&mut self) {
        let machine = self.0.upgrade().expect("somebody waits for this thread");
        self.1.send((machine.shutdown(), machine.call(0, || ()))).unwrap();
    }
}

#[test]
fn p8_an_own_thread_that_has_gone_offline_still_cannot_wait_for_itself() {
    let _bounded = bounded();
    for idle in IDLES {
        let machine = Arc::new(Machine::builder().owned(1).idle(idle).build().unwrap());
        let (sender, answers) = mpsc::channel();
        let asks = Asks(Arc::downgrade(&machine), sender);
        machine.call(0, move || ASKS_AT_THE_END.set(Some(asks))).unwrap();
        assert_eq!(machine.shutdown(), Ok(()));
        assert_eq!(answers.recv(), Ok((Err(ShutdownError::OwnThread), Err(CallError::Offline))));
    }
}
