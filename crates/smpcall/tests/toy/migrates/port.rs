//! The port of threads that are moved.

use smpcall::{Backoff, CallStall, Hosting, Pause, Platform, Reporting, RingError, Tuning, Waiting};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

pub(super) const CPUS: usize = 3;
pub(super) const PAUSE_NS: u64 = 1000;

pub(super) type Hook = RefCell<Option<Rc<dyn Fn()>>>;

/// CPUs between which the one thread moves: when interrupts are on.
#[derive(Default)]
pub(super) struct Moving {
    pub(super) cpu: Cell<u32>,
    pub(super) bound: Cell<bool>,
    pub(super) irq_off: Cell<u32>,
    pub(super) now_ns: Cell<u64>,
    pub(super) stall_timeout_ns: Cell<u64>,
    pub(super) stalls: RefCell<Vec<CallStall>>,
    /// How many frames of user code the thread is in.
    pub(super) frames: Cell<u32>,
    pub(super) rings: RefCell<Vec<u32>>,
    /// Doorbells fail.
    pub(super) fails: Cell<bool>,
    pub(super) parks: Cell<bool>,
    /// Runs once, at the next `irq_save`, when interrupts are still on.
    pub(super) on_save: Hook,
    /// Runs at every pause and at every park of a waiter, and at every report.
    pub(super) on_pause: Hook,
    pub(super) on_park: Hook,
    pub(super) on_stall: Hook,
}

fn run(hook: &Hook) {
    let hook = hook.borrow().clone();
    if let Some(hook) = hook {
        hook();
    }
}

// SAFETY: 1. It is not `Sync`: one thread, which a hook moves when interrupts are on; `bound` is only set while it is not moved.
// 2. Hooks run when interrupts are on. 3. The tests flush by themselves. 4. Nothing panics in a function. 5. The tests wake by
// returning from `park`.
unsafe impl Platform for Moving {
    type IrqState = ();
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        Some(self.cpu.get())
    }
    fn can_wait(&self) -> bool {
        self.irq_off.get() == 0
    }
    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        assert_ne!(self.irq_off.get(), 0, "a ring without the irq guard");
        if self.fails.get() {
            return Err(RingError);
        }
        self.rings.borrow_mut().push(cpu);
        Ok(())
    }
    fn irq_save(&self) {
        if self.irq_off.get() == 0 {
            let hook = self.on_save.borrow_mut().take();
            if let Some(hook) = hook {
                hook();
            }
        }
        self.irq_off.set(self.irq_off.get() + 1);
    }
    fn irq_restore(&self, (): ()) {
        self.irq_off.set(self.irq_off.get() - 1);
    }
    fn relax(&self) {}
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }
}

impl Waiting for Moving {
    const MIGRATES: bool = true;
    const PARKS: bool = true;

    fn is_bound(&self) -> bool {
        self.bound.get()
    }
    fn pause(&self, backoff: &Backoff) -> Pause {
        assert!(backoff.rounds < 1000, "the waiting caller waits for ever");
        self.now_ns.set(self.now_ns.get() + PAUSE_NS);
        run(&self.on_pause);
        if self.parks.get() { Pause::Park } else { Pause::Again }
    }
    fn waiter(&self) -> Option<u16> {
        Some(77)
    }
    fn park(&self, waiter: Option<u16>, _timeout_ns: u64) {
        assert_eq!(waiter, Some(77), "it is the thread's number, wherever that is");
        run(&self.on_park);
    }
}

impl Tuning for Moving {
    fn looks_first(&self, _target: u32) -> u32 {
        1
    }
}

impl Hosting for Moving {
    fn frame_begins(&self) {
        self.frames.set(self.frames.get() + 1);
    }
    fn frame_ends(&self) {
        self.frames.set(self.frames.get() - 1);
    }
}

impl Reporting for Moving {
    fn stall_timeout_ns(&self) -> u64 {
        self.stall_timeout_ns.get()
    }
    fn call_stalled(&self, stall: &CallStall) {
        self.stalls.borrow_mut().push(*stall);
        run(&self.on_stall);
    }
}

smpcall::simple_port!(Moving: Tracing, Topology, Foreign);
