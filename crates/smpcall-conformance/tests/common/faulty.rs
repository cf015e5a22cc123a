//! What a port, or a rig, can break, and a wrapper that breaks it.

use super::port::{Rings, Threads};
use super::signal;
use smpcall::{
    Broadcasting, Event, NotBroadcast, Platform, Reporting, RingError, Topology, Tracing, Waiting,
};
use smpcall_conformance::{Tlb, TlbFault, ToyTlb};
use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    /// Every so-many-th doorbell is lost. 1: all are.
    DropsEvery(u64),
    /// Every so-many-th cannot be sent, and the port says so. 1: none can.
    FailsEvery(u64),
    /// Each doorbell rings twice. Harmless, but for P7's figures.
    Twice,
    /// A doorbell goes to the next CPU instead.
    WrongCpu,
    /// A doorbell that is merged into a pending one takes it along.
    LosesMerged,
    /// Of several doorbells that are rung at once, the one to the first CPU is lost.
    ManyLoseFirst,
    /// The one to the last CPU is.
    ManyLoseLast,
    /// Waiting is said to be allowed always.
    AlwaysWaits,
    /// Waiting is said to be allowed never.
    NeverWaits,
    /// `irq_restore` switches interrupts on, whatever they were.
    ForgetsNesting,
    /// `irq_save` switches nothing off.
    MasksNothing,
    /// A thread that is no CPU is told that it is CPU 0.
    OutsideIsCpu,
    /// A handler that no irq guard keeps away is told that it runs on no CPU.
    NoCpuInHandlers,
    /// The clock steps back now and then.
    ClockStepsBack,
    /// The clock stands still.
    ClockStands,
    /// The nearest CPU is said to be the asking one.
    NearestIsItself,
    /// `catch` calls its function twice.
    CatchCallsTwice,
    /// `catch` does not call its function.
    CatchCallsNobody,
    /// `catch` lets a panic pass.
    CatchUnwinds,
    /// A panic that nobody waits for is not noted.
    ForgetsCaught,
    /// A wake that comes before its park is forgotten.
    ForgetsWakes,
    /// Nobody is woken.
    LosesWakes,
    /// All callers have one number.
    SharesWaiters,
    /// A park goes on until somebody ends it.
    ParksForEver,
    /// A ring does not end a park.
    ParksThroughRings,
    /// The rig does not call what it is to call in an NMI.
    LosesNmis,
    /// It calls it twice.
    RepeatsNmis,
    /// It does not call what it is to call in an interrupt.
    LosesInterrupts,
    /// A CPU that is to be held unwinds out of it.
    HoldsNobody,
    /// Its TLB is broken.
    Tlb(TlbFault),
    /// It says that a broadcast which leaves some out has reached all.
    LeavesNobodyOut,
    /// Its way from user space back into the kernel does not catch up.
    SkipsCatchUp,
    /// Its way to user space does not say so.
    NeverSaysUser,
    /// The suite is told that the doorbell's handler flushes; nobody does.
    NobodyFlushes,
    /// CPU 1 does not come.
    OneStaysAway,
    /// The rig's memory is too small.
    TooLittleMemory,
    /// The rig counts every second doorbell.
    CountsWrong,
    /// Every second Busy is not counted.
    ForgetsBusies,
}

thread_local! {
    /// `catch` has no port to ask.
    static CATCH: Cell<Fault> = const { Cell::new(Fault::Nothing) };
}

/// Says what is broken on this thread.
pub(crate) fn breaks_catch(fault: Fault) {
    CATCH.set(fault);
}

/// A port with a fault wrapped around it.
pub(crate) struct Faulty {
    pub(crate) port: Threads,
    pub(crate) tlb: &'static ToyTlb,
    fault: Fault,
    /// How many doorbells were asked for, and readings of the clock.
    rung: AtomicU64,
    read: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(port: Threads, fault: Fault) -> Self {
        let of_tlb = if let Fault::Tlb(fault) = fault { fault } else { TlbFault::None };
        let tlb = Box::leak(Box::new(ToyTlb::with_fault(of_tlb)));
        Self { port, tlb, fault, rung: AtomicU64::new(0), read: AtomicU64::new(0) }
    }

    /// What the core, and the suite, owe the port.
    fn demand_guarded(&self, what: &str) {
        let masks = !matches!(self.fault, Fault::ForgetsNesting | Fault::MasksNothing);
        assert!(!masks || signal::irqs_are_off(), "{what} without the irq guard");
    }
}

// SAFETY: as for the port inside, as long as nothing is broken that safety rests on: doorbells and wakes delay, and so does the
// clock. What breaks `irq_save`, `current_cpu` or `catch` is run with the one case that finds it, which posts to nobody
// after that, or to its own thread.
unsafe impl Platform for Faulty {
    type IrqState = ();
    type Panic = Box<dyn Any + Send>;

    fn current_cpu(&self) -> Option<u32> {
        match self.fault {
            Fault::OutsideIsCpu => self.port.current_cpu().or(Some(0)),
            Fault::NoCpuInHandlers if signal::is_raised() => None,
            _ => self.port.current_cpu(),
        }
    }

    fn can_wait(&self) -> bool {
        match self.fault {
            Fault::AlwaysWaits => true,
            Fault::NeverWaits => false,
            _ => self.port.can_wait(),
        }
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.demand_guarded("ring");
        let nth = self.rung.fetch_add(1, Ordering::Relaxed) + 1;
        match self.fault {
            Fault::DropsEvery(every) if nth % every == 0 => Ok(()),
            Fault::FailsEvery(every) if nth % every == 0 => Err(RingError),
            Fault::WrongCpu => self.port.ring(cpu ^ 1),
            Fault::Twice => {
                self.port.ring(cpu)?;
                self.port.ring(cpu)
            }
            Fault::LosesMerged => {
                self.port.ring_by(cpu, |rung: &AtomicBool| !rung.fetch_xor(true, Ordering::AcqRel));
                Ok(())
            }
            _ => self.port.ring(cpu),
        }
    }

    fn irq_save(&self) {
        if self.fault != Fault::MasksNothing {
            self.port.irq_save();
        }
    }

    fn irq_restore(&self, (): ()) {
        match self.fault {
            Fault::MasksNothing => {}
            Fault::ForgetsNesting => signal::irq_on_for_all(),
            _ => self.port.irq_restore(()),
        }
    }

    fn relax(&self) {
        self.port.relax();
    }

    fn now_ns(&self) -> u64 {
        match self.fault {
            Fault::ClockStands => 5,
            Fault::ClockStepsBack if self.read.fetch_add(1, Ordering::Relaxed) % 50 == 0 => {
                self.port.now_ns().saturating_sub(1_000_000)
            }
            _ => self.port.now_ns(),
        }
    }

    fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Self::Panic> {
        match CATCH.get() {
            Fault::CatchCallsNobody => Err(Box::new("not called")),
            Fault::CatchUnwinds => Ok(f()),
            Fault::CatchCallsTwice => {
                // SAFETY: the one function that comes here holds nothing but references: see the case.
                let again = unsafe { std::ptr::read(&raw const f) };
                Threads::catch(f).and_then(|_| Threads::catch(again))
            }
            _ => Threads::catch(f),
        }
    }

    fn resume(panic: Self::Panic) -> ! {
        Threads::resume(panic)
    }
}

impl Waiting for Faulty {
    const PARKS: bool = Threads::PARKS;

    fn waiter(&self) -> Option<u16> {
        self.port.waiter().map(|waiter| if self.fault == Fault::SharesWaiters { 0 } else { waiter })
    }

    fn park(&self, waiter: Option<u16>, timeout_ns: u64) {
        assert!(self.port.can_wait(), "a park with interrupts off");
        let limit = Duration::from_nanos(timeout_ns);
        match self.fault {
            Fault::ForgetsWakes => {
                self.port.park_until(Duration::ZERO, Rings::Ignored);
                self.port.park_until(limit, Rings::Heard);
            }
            // A hang's guard: the suite ends it.
            Fault::ParksForEver => self.port.park_until(Duration::from_secs(60), Rings::Heard),
            Fault::ParksThroughRings => self.port.park_until(limit, Rings::Ignored),
            _ => self.port.park(waiter, timeout_ns),
        }
    }

    fn hold(&self, _rounds: u32) {
        if self.fault == Fault::HoldsNobody {
            std::panic::resume_unwind(Box::new("let go"));
        }
        std::thread::yield_now();
    }

    fn wake(&self, waiter: u16) {
        self.demand_guarded("wake");
        if self.fault != Fault::LosesWakes {
            self.port.wake(waiter);
        }
    }
}

impl Reporting for Faulty {
    fn caught(&self, panic: <Self as Platform>::Panic) {
        self.demand_guarded("caught");
        if self.fault != Fault::ForgetsCaught {
            self.port.caught(panic);
        }
    }
}

impl Tracing for Faulty {
    const TRACES: bool = Threads::TRACES;

    fn trace(&self, event: &Event) {
        self.port.trace(event);
    }
}

impl Topology for Faulty {
    fn ring_many(&self, first: u32, cpus: usize) -> usize {
        let lost = match self.fault {
            Fault::ManyLoseFirst => cpus & cpus.wrapping_neg(),
            Fault::ManyLoseLast => cpus.checked_ilog2().map_or(0, |bit| 1 << bit),
            _ => 0,
        };
        let rung = cpus & !lost;
        let rung = (0..usize::BITS).filter(|bit| rung & 1 << bit != 0);
        rung.filter(|bit| self.ring(first + bit).is_err()).fold(0, |failed, bit| failed | 1 << bit)
    }

    fn nearest(&self, cpu: u32, _among: &mut dyn Iterator<Item = u32>) -> Option<u32> {
        (self.fault == Fault::NearestIsItself).then_some(cpu)
    }
}

smpcall::simple_port!(Faulty: Tuning, Foreign, Hosting);

/// The one request: to throw the page out.
pub(crate) struct DropPage;

impl Broadcasting<DropPage> for Faulty {
    fn broadcast(&self, _: &DropPage) -> Result<(), NotBroadcast> {
        self.demand_guarded("broadcast");
        if self.tlb.broadcast() { Ok(()) } else { Err(NotBroadcast) }
    }

    fn left_out(&self, _: &DropPage, first: u32, cpus: usize) -> usize {
        if self.fault == Fault::LeavesNobodyOut { 0 } else { self.tlb.left_out(first, cpus) }
    }

    fn do_here(&self, _: &DropPage) {
        self.tlb.drop_here(self.current_cpu().expect("a CPU is called"));
    }
}
