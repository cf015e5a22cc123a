//! P11: a value that is bound to a CPU is used and dropped by the thread that it was made on, and by no other.

use smpcall_host::smpcall::Budget;
use smpcall_host::{BoundError, CpuBound, Machine};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Which threads have dropped one.
type Drops = Arc<Mutex<Vec<ThreadId>>>;

/// Cannot be sent, and says who drops it.
#[derive(Debug)]
struct Local(Rc<RefCell<u32>>, Drops);

impl Local {
    fn new(drops: &Drops) -> Self {
        Self(Rc::default(), Arc::clone(drops))
    }

    fn hit(&self) -> u32 {
        *self.0.borrow_mut() += 1;
        *self.0.borrow()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(thread::current().id());
    }
}

fn thread_of(machine: &Machine, cpu: u32) -> ThreadId {
    machine.call(cpu, || thread::current().id()).unwrap()
}

fn bound<'m>(machine: &'m Machine, cpu: u32, drops: &Drops) -> CpuBound<'m, Local> {
    machine.call(cpu, || CpuBound::new(machine, Local::new(drops)).ok()).unwrap().expect("that is a CPU")
}

/// Awaits so many drops, which were posted.
fn all(len: usize, drops: &Drops) -> Vec<ThreadId> {
    let began = Instant::now();
    while drops.lock().unwrap().len() < len {
        assert!(began.elapsed() < Duration::from_secs(60), "a drop that was posted does not run");
        thread::yield_now();
    }
    drops.lock().unwrap().clone()
}

#[test]
fn a_value_is_used_on_its_cpu_and_dropped_there() {
    let machine = Machine::builder().owned(2).build().unwrap();
    let drops = Drops::default();
    let value = bound(&machine, 1, &drops);
    assert_eq!(value.cpu(), 1);
    for round in 1..=10 {
        assert_eq!(value.with(|_| ()), Err(BoundError::Elsewhere), "a thread that is no CPU");
        assert_eq!(machine.call(0, || value.with(|_| ())), Ok(Err(BoundError::Elsewhere)));
        assert_eq!(machine.call(1, || value.with(|value| value.hit())), Ok(Ok(round)));
        assert_eq!(machine.call_blocking(1, || value.with(|value| *value.0.borrow())), Ok(Ok(round)));
    }
    let elsewhere = value.into_inner().expect_err("it stays where it is");
    drop(elsewhere);
    assert_eq!(all(1, &drops), [thread_of(&machine, 1)]);
    // And there and then, where it belongs.
    let (value, seen) = (bound(&machine, 0, &drops), Arc::clone(&drops));
    let dropped = machine.call(0, move || {
        drop(value);
        seen.lock().unwrap().len()
    });
    assert_eq!(dropped, Ok(2));
    assert_eq!(drops.lock().unwrap()[1], thread_of(&machine, 0));
    let value = bound(&machine, 0, &drops);
    assert_eq!(machine.call(0, || value.into_inner().is_ok_and(|value| value.hit() == 1)), Ok(true));
    assert_eq!(drops.lock().unwrap().len(), 3);
}

#[test]
fn who_is_no_cpu_of_that_machine_gets_the_value_back() {
    let (machine, other) =
        (Machine::builder().owned(1).build().unwrap(), Machine::builder().owned(1).build().unwrap());
    assert_eq!(CpuBound::new(&machine, 7).err(), Some(7));
    assert_eq!(other.call(0, || CpuBound::new(&machine, 7).err()), Ok(Some(7)));
}

#[test]
fn one_at_a_time_has_it_and_a_panic_gives_it_back() {
    let machine = Machine::builder().owned(1).build().unwrap();
    let drops = Drops::default();
    let value = bound(&machine, 0, &drops);
    let nested = machine.call(0, || value.with(|_| value.with(|_| ())));
    assert_eq!(nested, Ok(Ok(Err(BoundError::InUse))));
    let panics = || value.with(|_| -> u32 { std::panic::resume_unwind(Box::new("meant")) });
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| machine.call(0, panics)));
    assert!(caught.is_err());
    assert_eq!(machine.call(0, || value.with(|value| value.hit())), Ok(Ok(1)));
}

#[test]
fn p8_a_drop_that_was_accepted_runs_when_the_cpu_detaches() {
    let machine = Machine::builder().attachable(1).build().unwrap();
    let drops = Drops::default();
    let here = machine.attach(0).unwrap();
    let value = CpuBound::new(&machine, Local::new(&drops)).unwrap_or_else(|_| panic!("a CPU"));
    assert_eq!(value.with(|value| value.hit()), Ok(1), "outside of a function, too");
    thread::scope(|scope| _ = scope.spawn(|| drop(value)));
    assert!(drops.lock().unwrap().is_empty(), "it is posted");
    drop(here);
    assert_eq!(*drops.lock().unwrap(), [thread::current().id()]);
}

#[test]
fn a_value_whose_thread_has_left_its_cpu_is_touched_by_nobody() {
    let machine = Machine::builder().attachable(1).build().unwrap();
    let drops = Drops::default();
    let (values, made) = channel();
    thread::scope(|scope| {
        let (machine, drops) = (&machine, &drops);
        scope.spawn(move || {
            let here = machine.attach(0).unwrap();
            for _ in 0..3 {
                values.send(CpuBound::new(machine, Local::new(drops)).ok().unwrap()).unwrap();
            }
            drop(here);
        });
    });
    let [first, second, third] = [(); 3].map(|()| made.recv().unwrap());
    // The CPU is offline: leaked.
    drop(first);
    // This thread is the same CPU, but it is not the thread that made them.
    let mut here = machine.attach(0).unwrap();
    assert_eq!(second.with(|_| ()), Err(BoundError::Elsewhere));
    let second = second.into_inner().expect_err("another stay");
    drop(second);
    thread::scope(|scope| _ = scope.spawn(|| drop(third)));
    let _ = here.poll(Budget::DEFAULT);
    assert!(drops.lock().unwrap().is_empty());
    // Nor when the same thread comes back.
    let mine = CpuBound::new(&machine, Local::new(&drops)).ok().unwrap();
    drop(here);
    let here = machine.attach(0).unwrap();
    assert_eq!(mine.with(|_| ()), Err(BoundError::Elsewhere));
    drop((mine, here));
    assert!(drops.lock().unwrap().is_empty());
    assert_eq!(Arc::strong_count(&drops), 1 + 4, "all four are leaked");
}

#[test]
fn handles_are_dropped_by_many_threads_while_their_cpu_uses_the_values() {
    let machine = Machine::builder().owned(1).build().unwrap();
    let drops = Drops::default();
    let owner = thread_of(&machine, 0);
    thread::scope(|scope| {
        for _ in 0..4 {
            let (machine, drops) = (&machine, &drops);
            scope.spawn(move || {
                for _ in 0..100 {
                    let value = bound(machine, 0, drops);
                    assert_eq!(machine.call(0, || value.with(|value| value.hit())), Ok(Ok(1)));
                }
            });
        }
    });
    assert!(all(400, &drops).iter().all(|thread| *thread == owner));
}
