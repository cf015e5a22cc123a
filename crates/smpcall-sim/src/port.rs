//! The port: the machine that the core sees. Each of its calls is a step of the engine.

use crate::engine::{PORT, engine};
use crate::history::{EventKind, Fate};
use smpcall_instrumented::{
    Backoff, CallStall, Counts, CpuStats, Event, Foreign, Hosting, Pause, Platform, Reporting, RingError,
    Stats, Topology, Tracing, Tuning, Waiting,
};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

thread_local! {
    static MANNERS: Cell<Manners> = const { Cell::new(Manners::PLAIN) };
    static COUNTERS: Cell<Option<&'static Counters>> = const { Cell::new(None) };
}

/// What a port counts into. Its words are simulated ones too: to count is to take steps.
pub(crate) type Counters = Stats<Box<[CpuStats]>>;

/// Counters for so many CPUs.
pub(crate) fn counters_for(cpus: usize) -> Counters {
    Stats::new((0..cpus).map(|_| CpuStats::new()).collect())
}

/// Says where ports that count do so from now on, on this OS thread.
pub(crate) fn count_into(counters: Option<&'static Counters>) {
    COUNTERS.set(counters);
}

/// What they have counted.
pub(crate) fn counted() -> Option<Counts> {
    COUNTERS.get().map(|counters| engine().unscheduled(|| counters.total()))
}

/// How the machine's waiting callers behave. One set for each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// How often a waiting caller looks before it does anything else.
    pub looks_first: u32,
    /// After how many pauses it sleeps; `u32::MAX`: never.
    pub parks_after: u32,
    /// After how long a silent target is named, in ns; 0: never.
    pub stall_timeout_ns: u64,
}

impl Manners {
    const PLAIN: Self = Self { looks_first: 2, parks_after: 2, stall_timeout_ns: 50_000 };

    /// Puts them into force, on this OS thread.
    pub(crate) fn adopt(self) {
        MANNERS.set(self);
    }
}

impl Default for Manners {
    fn default() -> Self {
        Self::PLAIN
    }
}

/// A simulated machine, without faults. `PARKS`: completing a call wakes its caller. `COUNTS`: it traces, stamps, and counts.
/// `MIGRATES`: beside its CPUs' own threads there are others, which a scheduler moves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Virtual<const PARKS: bool, const COUNTS: bool = false, const MIGRATES: bool = false>;

// SAFETY: 1. The engine runs one virtual CPU at a time, each with a number of its own; interrupts run on the one that they
// hit. Threads that migrate take turns on a CPU, with its own thread and its handlers: the engine keeps all others off from `irq_save`
// to `irq_restore`, and moves nobody in between. 2. The doorbell's handler is the only one that flushes, and it does not come in
// while interrupts are off. 3. `ring` sets the latch and publishes, as a read-modify-write does; it is cleared in the same way before the
// handler, or the idle loop, flushes. 4. `catch_unwind`. 5. `wake` sets a latch that `park` looks at, in the engine, which
// outlives every call.
unsafe impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Platform
    for Virtual<PARKS, COUNTS, MIGRATES>
{
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    #[inline]
    fn current_cpu(&self) -> Option<u32> {
        engine().cpu()
    }

    fn can_wait(&self) -> bool {
        engine().can_wait()
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        assert!(engine().irqs_are_off(), "a ring without the irq guard");
        send(cpu, Fate::Arrives);
        engine().rung(cpu as usize);
        Ok(())
    }

    fn irq_save(&self) {
        engine().irq_save();
    }

    fn irq_restore(&self, (): ()) {
        engine().irq_restore();
    }

    fn relax(&self) {
        engine().relax();
    }

    fn now_ns(&self) -> u64 {
        engine().now_ns()
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        catch_unwind(AssertUnwindSafe(f))
    }

    fn resume(panic: Self::Panic) -> ! {
        resume_unwind(panic)
    }
}

impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Waiting
    for Virtual<PARKS, COUNTS, MIGRATES>
{
    const PARKS: bool = PARKS;
    const MIGRATES: bool = MIGRATES;

    fn is_bound(&self) -> bool {
        engine().is_bound()
    }

    fn pause(&self, backoff: &Backoff) -> Pause {
        assert!(engine().can_wait(), "a pause with interrupts off");
        engine().go_if_asked();
        if backoff.rounds >= MANNERS.get().parks_after {
            return Pause::Park;
        }
        engine().relax();
        Pause::Again
    }

    fn waiter(&self) -> Option<u16> {
        u16::try_from(engine().me()).ok()
    }

    fn park(&self, _waiter: Option<u16>, timeout_ns: u64) {
        let engine = engine();
        assert!(engine.can_wait(), "a park with interrupts off");
        engine.park(engine.now_ns().saturating_add(timeout_ns.max(1)));
    }

    fn wake(&self, waiter: u16) {
        let engine = engine();
        assert!(engine.irqs_are_off(), "a wake outside of call context and without the irq guard");
        engine.point(PORT);
        engine.send_wake(waiter.into());
        engine.log(EventKind::Wakes(waiter.into()));
        engine.wake(waiter.into());
    }
}

impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Reporting
    for Virtual<PARKS, COUNTS, MIGRATES>
{
    fn caught(&self, panic: <Self as Platform>::Panic) {
        assert!(engine().irqs_are_off(), "a panic is told of outside of call context");
        drop(panic);
        engine().log(EventKind::Caught);
    }

    fn stall_timeout_ns(&self) -> u64 {
        MANNERS.get().stall_timeout_ns
    }

    fn call_stalled(&self, stall: &CallStall) {
        assert!(engine().can_wait(), "a stall is told of with interrupts off");
        engine().log(EventKind::Stalled { target: stall.target });
    }
}

impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Tracing
    for Virtual<PARKS, COUNTS, MIGRATES>
{
    const TRACES: bool = COUNTS;
    const STAMPS: bool = COUNTS;

    fn trace(&self, event: &Event) {
        if let smpcall_instrumented::EventKind::Batch { len } = event.kind {
            engine().log(EventKind::Batch { len });
        }
        if let Some(counters) = COUNTERS.get() {
            counters.count(event);
        }
    }
}

impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Tuning
    for Virtual<PARKS, COUNTS, MIGRATES>
{
    fn gather(&self) {
        assert!(engine().irqs_are_off(), "a poster is given time with interrupts on");
        engine().point(PORT);
    }

    fn looks_first(&self, _target: u32) -> u32 {
        MANNERS.get().looks_first
    }
}

impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Topology
    for Virtual<PARKS, COUNTS, MIGRATES>
{
    fn ring_self(&self, cpu: u32) -> Result<(), RingError> {
        assert!(engine().irqs_are_off(), "a ring without the irq guard");
        send(cpu, Fate::Arrives);
        engine().rung_by_itself(cpu as usize);
        Ok(())
    }
}
impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Foreign
    for Virtual<PARKS, COUNTS, MIGRATES>
{
}
impl<const PARKS: bool, const COUNTS: bool, const MIGRATES: bool> Hosting
    for Virtual<PARKS, COUNTS, MIGRATES>
{
}

/// The sender's half of a doorbell: what it wrote is visible to the handler.
pub(crate) fn send(cpu: u32, fate: Fate) {
    let engine = engine();
    engine.point(PORT);
    if fate == Fate::Unsent {
        engine.publish();
    } else {
        engine.send_ring(cpu as usize);
    }
    engine.log(EventKind::Ring { to: cpu, fate, guarded: engine.irqs_are_off() });
}
