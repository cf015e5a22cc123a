//! P15: threads that are preempted and moved while they wait. A CPU is a lock, which is held from `irq_save` to `irq_restore`: by
//! the thread that is there, or by the doorbell's handler, which is a thread of its own. Between two such sections a thread may be
//! moved; these move once, at their first pause.

use crate::memory::Tally;
use loom::sync::{Mutex, MutexGuard, Notify};
use loom::thread;
use smpcall::{
    Backoff, Budget, Csd, Foreign, Hosting, Machine, Pause, PerCpu, Platform, Posted, Reporting, RingError,
    Topology, Tracing, Tuning, Waiting,
};
use std::array::from_fn;
use std::cell::Cell;

const CPUS: usize = 2;

loom::thread_local! {
    static CPU: Cell<Option<u32>> = Cell::new(None);
    static GUARDS: Cell<u32> = Cell::new(0);
    /// Where the thread goes at its next pause.
    static GOES_TO: Cell<Option<u32>> = Cell::new(None);
}

loom::lazy_static! {
    static ref SMP: Machine<Port, [PerCpu; CPUS]> = Machine::new(Port, from_fn(|_| PerCpu::new()));
    static ref TAKEN: [Mutex<()>; CPUS] = from_fn(|_| Mutex::new(()));
    static ref BELLS: [Notify; CPUS] = from_fn(|_| Notify::new());
    static ref RUNS: Tally = Tally::default();
    /// Its run rings: whoever waits for it looks.
    static ref CSD: Csd<fn()> = Csd::new(|| {
        RUNS.add();
        BELLS[0].notify();
    });
}

struct Port;

// SAFETY: 1. A thread moves itself, outside of the guard; under the guard its CPU's lock keeps all others away. 2. As above. 3. A
// bell keeps a ring that nobody waits for. 4. Nothing is caught. 5. Nobody parks.
unsafe impl Platform for Port {
    type IrqState = Option<MutexGuard<'static, ()>>;
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        CPU.with(Cell::get)
    }

    fn can_wait(&self) -> bool {
        GUARDS.with(Cell::get) == 0
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        assert!(!self.can_wait(), "a ring without the irq guard");
        BELLS[cpu as usize].notify();
        Ok(())
    }

    fn irq_save(&self) -> Self::IrqState {
        let outer = GUARDS.with(|guards| guards.replace(guards.get() + 1));
        let cpu = self.current_cpu().filter(|_| outer == 0)?;
        Some(TAKEN[cpu as usize].lock().unwrap())
    }

    fn irq_restore(&self, taken: Self::IrqState) {
        GUARDS.with(|guards| guards.set(guards.get() - 1));
        drop(taken);
    }

    fn relax(&self) {
        thread::yield_now();
    }

    fn now_ns(&self) -> u64 {
        0
    }
}

impl Waiting for Port {
    const MIGRATES: bool = true;

    fn pause(&self, _backoff: &Backoff) -> Pause {
        assert!(self.can_wait(), "a pause with interrupts off");
        if let Some(cpu) = GOES_TO.with(Cell::take) {
            CPU.with(|here| here.set(Some(cpu)));
        }
        self.relax();
        Pause::Again
    }
}

impl Tuning for Port {
    fn looks_first(&self, _target: u32) -> u32 {
        0
    }
}

impl Reporting for Port {}
impl Tracing for Port {}
impl Topology for Port {}
impl Foreign for Port {}
impl Hosting for Port {}

fn model(body: impl Fn() + Send + Sync + 'static) {
    loom::model(move || {
        for cpu in 0..CPUS as u32 {
            let _ = on(cpu, || SMP.as_pin().online()).unwrap();
        }
        body();
    });
}

/// Runs `f` as a thread on that CPU, or as its doorbell's handler.
fn on<R>(cpu: u32, f: impl FnOnce() -> R) -> R {
    let before = CPU.with(|here| here.replace(Some(cpu)));
    let result = f();
    CPU.with(|here| here.set(before));
    result
}

/// A thread on `from` calls `to`, and is moved there while it waits.
fn calls_and_moves(from: u32, to: u32) {
    CPU.with(|here| here.set(Some(from)));
    GOES_TO.with(|goes| goes.set(Some(to)));
    assert_eq!(SMP.call(to, || CPU.with(Cell::get)), Ok(Some(to)));
}

/// P1, P7: a post to the CPU that a waiter is about to leave. The waiter's flush runs it, or it rings and the handler does. A waiter
/// that leaves a mark behind is a deadlock. Bounds: one post, one move.
#[test]
fn a_post_to_the_cpu_that_a_waiter_leaves() {
    model(|| {
        let caller = thread::spawn(|| calls_and_moves(0, 1));
        assert_eq!(SMP.post(0, &*CSD), Ok(Posted::Queued));
        while RUNS.get() == 0 {
            BELLS[0].wait();
            let _ = on(0, || SMP.flush(Budget::DEFAULT));
        }
        caller.join().unwrap();
        assert_eq!(RUNS.get(), 1);
    });
}

/// P10: two threads call each other's CPU and change places while they wait, and there is no handler: who waits serves the CPU that
/// it finds itself on. Bounds: one call and one move each.
#[test]
fn two_waiters_that_change_places() {
    model(|| {
        let other = thread::spawn(|| calls_and_moves(1, 0));
        calls_and_moves(0, 1);
        other.join().unwrap();
    });
}
