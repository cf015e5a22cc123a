//! A machine: its CPUs, and what one can ask of them.
//!
//! The way of a call: [`post`] or [`call`] puts a header into the target's queue and rings; [`flush`], on the target,
//! takes the list and runs it; [`many`] calls several at once; [`wait`] is how a caller passes the time until then. [`hotplug`] opens and closes
//! queues, and says who polls, for [`cpu`], a CPU's own handle; [`machine`] is what its port has; [`watchdog`] looks for CPUs that do not come forward. [`context`] says what code of the user's may
//! do in between.

mod abandon;
mod blocking;
#[cfg(feature = "alloc")]
mod boxed;
mod call;
mod call_in;
mod context;
mod cpu;
mod deferred;
mod detached;
mod flush;
mod foreign;
mod hotplug;
mod lazy;
mod machine;
mod many;
mod nearest;
mod pinned;
mod post;
mod send;
mod serve;
mod unrung;
mod wait;
mod watchdog;

pub use self::cpu::{Asleep, Cpu, NoSleep, SleepGuard};
pub use self::deferred::{Deferred, NotInUser};
pub use self::flush::{Budget, Flushed};
pub use self::machine::Machine;
pub use self::many::{Awaits, Broadcast, Hold, Reached, To};
pub use self::pinned::Pinned;
pub use self::post::Chain;
pub use self::serve::Serve;
pub use self::watchdog::Watch;

use self::context::{InCall, NoUnwind};
use crate::meeting::Gate;
use crate::multicast::Slots;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::Seen;
use crate::stamp::Stamp;
use crate::sync::AtomicUsize;
use crate::trace::{Event, EventKind};
use core::marker::PhantomPinned;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// What any thread may ask of a machine: to post, to call, to wait, to cancel; who is online, what is pending, what stalls.
///
/// Behind it is a [`Machine`], which has the rest. All functions take `&self` and may be called by any number
/// of threads, interrupts and CPUs at once; each says from which context.
///
/// It is `UnwindSafe` and `RefUnwindSafe`, so that the panic of a call can be caught, as P11 says that it comes back: it does
/// when the call is over, and the machine is as after any other call. What a closure borrows besides is judged by itself.
#[derive(Debug)]
pub struct Smp<P, S> {
    platform: P,
    slots: Slots,
    /// How many waits were reported as stalled and are not over.
    stalled: AtomicUsize,
    /// How many doorbells the port could not send.
    unrung: AtomicUsize,
    /// How many threads that are no CPU have looked for the nearest.
    turns: AtomicUsize,
    /// Whether a rendezvous is under way.
    gate: Gate,
    storage: S,
    _pinned: PhantomPinned,
}

// What a function throws is caught on its target (P11), and goes on in the caller only when its call is over: no queue, slot
// or state word is half changed then. The port is called by any CPU at any time, so it is whole between its calls.
impl<P, S> UnwindSafe for Smp<P, S> {}
impl<P, S> RefUnwindSafe for Smp<P, S> {}

impl<P: Platform, S: Storage> Smp<P, S> {
    crate::sync::const_unless_loom! {
        fn new(platform: P, storage: S) -> Self {
            Self {
                platform,
                slots: Slots::new(),
                stalled: AtomicUsize::new(0),
                unrung: AtomicUsize::new(0),
                turns: AtomicUsize::new(0),
                gate: Gate::new(),
                storage,
                _pinned: PhantomPinned,
            }
        }
    }

    /// As [`Self::new`], field by field in its place.
    ///
    /// # Safety
    ///
    /// The place is the caller's to write; all of it is written.
    unsafe fn emplace(at: *mut Self, platform: P, storage: S) {
        // SAFETY: the caller's promise.
        unsafe {
            (&raw mut (*at).platform).write(platform);
            Slots::emplace(&raw mut (*at).slots);
            (&raw mut (*at).stalled).write(AtomicUsize::new(0));
            (&raw mut (*at).unrung).write(AtomicUsize::new(0));
            (&raw mut (*at).turns).write(AtomicUsize::new(0));
            (&raw mut (*at).gate).write(Gate::new());
            (&raw mut (*at).storage).write(storage);
        }
    }

    /// Returns how many CPUs the machine has, online or not.
    ///
    /// Example: [`Machine::with_storage`](crate::Machine::with_storage).
    pub fn cpus_len(&self) -> u32 {
        self.cpus().len() as u32
    }

    /// Returns the port.
    ///
    /// Example: [`Histogram`](crate::Histogram).
    pub fn platform(&self) -> &P {
        &self.platform
    }

    #[inline(always)]
    fn cpus(&self) -> &[PerCpu] {
        self.storage.cpus()
    }

    #[inline(always)]
    fn cpu(&self, cpu: u32) -> Option<&PerCpu> {
        self.cpus().get(cpu as usize)
    }

    /// Behind `trace!`. The listener is in call context, so that it changes nothing of the CPU's in the middle of a step.
    #[inline]
    fn tell(&self, kind: EventKind) {
        let _irq = IrqGuard::new(&self.platform);
        let by = self.platform.current_cpu();
        let _call = self.here().map(|(_, here)| InCall::enter(here));
        NoUnwind::around(|| self.platform.trace(&Event { by, kind }));
    }

    /// A call is queued now, if the port stamps.
    #[inline(always)]
    fn stamp(&self, stamp: &Stamp) {
        if P::STAMPS {
            stamp.set(self.platform.now_ns());
        }
    }

    /// The CPU that runs the caller, if it is in call context.
    #[inline(always)]
    pub(crate) fn cpu_in_call(&self) -> Option<u32> {
        let (cpu, here) = self.here()?;
        here.own.in_call().then_some(cpu)
    }

    /// Returns whether a CPU polls, or is in a flush: racy.
    pub(crate) fn looks_by_itself(&self, cpu: u32) -> bool {
        self.cpu(cpu).is_some_and(|cpu| cpu.mailbox.head.look() == Seen::Polling)
    }

    /// The number of the CPU that runs the caller: it may be moved before it looks.
    pub(crate) fn cpu_here(&self) -> Option<u32> {
        self.here().map(|(cpu, _)| cpu)
    }

    /// Keeps the caller on its CPU, until it is dropped; costs nothing where none is moved.
    #[inline(always)]
    fn stay(&self) -> Option<IrqGuard<'_, P>> {
        P::MIGRATES.then(|| IrqGuard::new(&self.platform))
    }

    /// Returns whether the caller stays on its CPU, so that it may keep something there across a wait (I26).
    #[inline(always)]
    fn is_at_home(&self) -> bool {
        !P::MIGRATES || self.platform.is_bound()
    }

    /// The CPU on which the caller stays.
    #[inline(always)]
    fn home(&self) -> Option<&PerCpu> {
        if self.is_at_home() { self.here().map(|(_, here)| here) } else { None }
    }

    /// Whether lazy or deferred posts are there, on a port that knows any.
    #[inline(always)]
    fn has_lazy(here: &PerCpu) -> bool {
        P::LAZY_POSTS && here.own.lazy.look().has_any()
    }

    /// What a post expects in its target's head: what is there, where that is worth a look. On a port on which no CPU polls it is at rest,
    /// or a list, and a wrong guess costs no more than the look.
    #[inline(always)]
    fn expected(target: &PerCpu) -> Seen {
        if P::POLLS { target.mailbox.head.look() } else { Seen::Idle }
    }

    /// Whether there is something to flush on the CPU that runs the caller.
    #[inline(always)]
    fn has_work_here(&self) -> bool {
        let _stay = self.stay();
        self.platform.current_cpu().and_then(|cpu| self.cpu(cpu)).is_some_and(Self::has_work)
    }

    /// Whether there is something to flush: queued, or left over. Lazy posts do not count.
    #[inline(always)]
    fn has_work(cpu: &PerCpu) -> bool {
        matches!(cpu.mailbox.head.look(), Seen::List(_)) || Self::has_left_over(cpu)
    }

    /// Whether a flush has left something over, on a port where one may.
    #[inline(always)]
    fn has_left_over(here: &PerCpu) -> bool {
        P::LEAVES_OVER && here.own.has_left_over()
    }

    /// Whether the CPU polls, on a port where one may.
    #[inline(always)]
    fn polls(here: &PerCpu) -> bool {
        P::POLLS && here.own.polling()
    }

    /// The CPU that runs the caller, just now if it may migrate. The port's word is taken for granted, its number is not.
    #[inline(always)]
    fn here(&self) -> Option<(u32, &PerCpu)> {
        let cpu = self.platform.current_cpu()?;
        Some((cpu, self.cpu(cpu)?))
    }
}
