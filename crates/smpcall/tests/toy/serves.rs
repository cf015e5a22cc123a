//! A port whose functions run in interrupts only: a CPU that waits leaves its queue to them.

use crate::port::OwnCpu;
use smpcall::{Backoff, Budget, Csd, Flushed, Pause, PerCpu, Platform, Posted, RingError, Waiting};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

struct Interrupts {
    cpu: Cell<u32>,
    rings: RefCell<Vec<u32>>,
    on_pause: RefCell<Option<Rc<dyn Fn()>>>,
}

// SAFETY: 1. It is not `Sync`: one thread, which is one CPU at a time. 2. Nothing is off. 3. The test flushes by itself.
// 4. Nothing panics. 5. It does not park.
unsafe impl Platform for Interrupts {
    type IrqState = ();
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        Some(self.cpu.get())
    }
    fn can_wait(&self) -> bool {
        true
    }
    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.rings.borrow_mut().push(cpu);
        Ok(())
    }
    fn irq_save(&self) {}
    fn irq_restore(&self, (): ()) {}
    fn relax(&self) {}
    fn now_ns(&self) -> u64 {
        0
    }
}

impl Waiting for Interrupts {
    const SERVES_IN_WAITS: bool = false;
    fn pause(&self, _backoff: &Backoff) -> Pause {
        let hook = self.on_pause.borrow().clone();
        if let Some(hook) = hook {
            hook();
        }
        Pause::Again
    }
}

smpcall::simple_port!(Interrupts: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);

type Machine = smpcall::Machine<Interrupts, [PerCpu; 2]>;

thread_local! {
    static MACHINE: Rc<Machine> = Rc::new(smpcall::Machine::new(
        Interrupts { cpu: Cell::new(0), rings: RefCell::default(), on_pause: RefCell::default() },
        [const { PerCpu::new() }; 2],
    ));
    static RAN: Cell<u32> = const { Cell::new(0) };
}

static RUNS: Csd<fn()> = Csd::new(|| RAN.set(RAN.get() + 1));

fn machine() -> Rc<Machine> {
    MACHINE.with(Rc::clone)
}

fn on<R>(cpu: u32, f: impl FnOnce(&Machine) -> R) -> R {
    let machine = machine();
    let before = machine.platform().cpu.replace(cpu);
    let result = f(&machine);
    machine.platform().cpu.set(before);
    result
}

#[test]
fn p7_p10_a_cpu_that_waits_is_rung_and_its_interrupt_runs_what_came() {
    for cpu in 0..2 {
        on(cpu, |_| crate::port::pinned(&machine()).come_online()).unwrap();
    }
    let steps = Rc::new(Cell::new(0));
    let hook: Rc<dyn Fn()> = {
        let steps = Rc::clone(&steps);
        Rc::new(move || {
            steps.set(steps.get() + 1);
            match steps.get() {
                // Another CPU posts to the one that waits: it is not polling, so that this rings.
                1 => assert_eq!(on(1, |machine| machine.post(0, &RUNS)), Ok(Posted::Queued)),
                2 => assert_eq!((RAN.get(), machine().platform().rings.take()), (0, vec![1, 0])),
                // Its interrupt comes.
                3 => assert_eq!(machine().flush(Budget::DEFAULT), Flushed::All(1)),
                4 => assert_eq!(on(1, |machine| machine.flush(Budget::DEFAULT)), Flushed::All(1)),
                _ => panic!("the call was done at the fourth pause"),
            }
        })
    };
    *machine().platform().on_pause.borrow_mut() = Some(hook);
    assert_eq!(on(0, |machine| machine.call(1, || 5)), Ok(5));
    assert_eq!((RAN.get(), steps.get()), (1, 4));
    assert_eq!(on(1, |machine| machine.post(0, &RUNS)), Ok(Posted::Queued));
    assert_eq!(machine().platform().rings.take(), [0], "and it is at rest after the wait");
}
