//! A port that never uses some of the crate, as Linux's: what is left keeps its promises.

use smpcall::{
    Awaits, Budget, Csd, Flushed, Machine, PerCpu, Platform, Posted, RingError, To, Tuning, Waiting,
};
use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::num::NonZeroU32;
use std::pin::Pin;

type Left = Machine<Port, [PerCpu; 2]>;

thread_local! {
    static MACHINE: Cell<Option<Pin<&'static Left>>> = const { Cell::new(None) };
    static RAN: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// One thread that is both CPUs in turn.
#[derive(Default)]
struct Port {
    cpu: Cell<u32>,
    rings: RefCell<Vec<u32>>,
}

// SAFETY: 1. One thread, which is the CPU that it says. 2. Nothing interrupts. 3. The tests flush by themselves. 4. Nothing panics in a
// function. 5. Nobody parks.
unsafe impl Platform for Port {
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
    fn irq_restore(&self, _state: ()) {}
    fn relax(&self) {}
    fn now_ns(&self) -> u64 {
        0
    }
}

impl Waiting for Port {
    const SERVES_IN_WAITS: bool = false;
}

impl Tuning for Port {
    const LAZY_POSTS: bool = false;
    const POLLS: bool = false;
    const LEAVES_OVER: bool = false;
    const BLOCKING_CALLS: bool = false;
    const RINGS_FAIL: bool = false;

    // What is waited for runs meanwhile: nobody else is there to run it.
    fn looks_first(&self, target: u32) -> u32 {
        let caller = self.cpu.replace(target);
        let _ = flush(8);
        self.cpu.set(caller);
        1
    }
}

smpcall::simple_port!(Port: Reporting, Tracing, Topology, Foreign, Hosting);

fn machine() -> Pin<&'static Left> {
    MACHINE.get().expect("`start` was called")
}

fn ran() -> Vec<u32> {
    RAN.take()
}

fn run(number: u32) {
    RAN.with_borrow_mut(|ran| ran.push(number));
}

fn rings() -> Vec<u32> {
    machine().platform().rings.take()
}

/// As a doorbell's handler does.
fn flush(calls: u32) -> Flushed {
    // SAFETY: nothing interrupts.
    unsafe { machine().get_ref().flush_guarded(Budget::calls(NonZeroU32::new(calls).unwrap())) }
}

/// Both CPUs are online, and the thread is CPU 0.
fn start() -> Pin<&'static Left> {
    let place = Box::leak(Box::new(MaybeUninit::uninit()));
    let machine = Machine::emplace(place, Port::default(), [PerCpu::new(), PerCpu::new()]).unwrap();
    MACHINE.set(Some(machine));
    for cpu in [1, 0] {
        machine.platform().cpu.set(cpu);
        let _handle = machine.online().unwrap();
    }
    machine
}

static FIRST: Csd<fn()> = Csd::new(|| run(1));
static SECOND: Csd<fn()> = Csd::new(|| {
    run(2);
    // Comes while the flush runs: it looks by itself, or rings itself.
    assert_eq!(machine().post(1, &THIRD), Ok(Posted::Queued));
});
static THIRD: Csd<fn()> = Csd::new(|| run(3));
/// Of another test: they run side by side.
static LAST: Csd<fn()> = Csd::new(|| run(9));

#[test]
fn p7_a_flush_runs_what_it_took_and_rings_itself_for_the_rest() {
    let machine = start();
    machine.post(1, &FIRST).unwrap();
    machine.post(1, &SECOND).unwrap();
    assert_eq!(rings(), [1], "for the first only");
    machine.platform().cpu.set(1);
    assert!(machine.has_work_here());
    assert_eq!((flush(1), ran()), (Flushed::More(1), vec![1, 2]), "all that it took, in order (P6)");
    assert_eq!((rings(), machine.has_work_here(), machine.backlog_racy(1)), (vec![1], true, 0));
    assert_eq!((flush(1), ran(), rings()), (Flushed::All(1), vec![3], vec![]));
    assert!(!machine.has_work_here());
    machine.post(1, &FIRST).unwrap();
    assert_eq!(rings(), [1], "it was at rest again");
}

#[test]
fn p8_what_was_accepted_runs_before_the_cpu_is_offline() {
    let machine = start();
    machine.post(1, &LAST).unwrap();
    machine.platform().cpu.set(1);
    assert_eq!(machine.this_cpu().unwrap().offline().ok(), Some(1));
    assert_eq!(ran(), [9]);
    assert!(machine.post(1, &LAST).is_err() && machine.post_detached(1, || run(4)).is_err());
    assert_eq!((rings(), ran()), (vec![1], vec![]), "rung before, and not for what was refused");
    let _handle = machine.online().unwrap();
    assert_eq!(machine.post(1, &LAST), Ok(Posted::Queued), "a refused post has let go of its csd");
}

#[test]
fn p4_calls_and_multicasts_are_answered() {
    let machine = start();
    assert_eq!(machine.call(1, || 7), Ok(7));
    let reached = machine.many_copied(To::All, Awaits::Everybody, || run(5)).unwrap();
    assert_eq!((reached.ran, ran()), (2, vec![5, 5]));
    let reached = machine.many_copied(To::All, Awaits::Nobody, || run(6)).unwrap();
    assert_eq!((reached.ran, ran()), (2, vec![6]), "its own part");
    machine.platform().cpu.set(1);
    assert_eq!((flush(8), ran()), (Flushed::All(1), vec![6]));
}
