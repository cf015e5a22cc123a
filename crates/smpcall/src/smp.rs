//! The machine: its CPUs, and what one can ask of them.
//!
//! The way of a call: [`post`] or [`call`] puts a header into the target's queue and rings; [`flush`], on the target,
//! takes the list and runs it; [`many`] calls several at once; [`wait`] is how a caller passes the time until then. [`hotplug`] opens and closes
//! queues, and says who polls; [`watchdog`] looks for CPUs that do not come forward. [`context`] says what code of the user's may
//! do in between.

mod abandon;
mod blocking;
#[cfg(feature = "alloc")]
mod boxed;
mod call;
mod call_in;
mod context;
mod detached;
mod flush;
mod foreign;
mod hotplug;
mod lazy;
mod many;
mod nearest;
mod pinned;
mod post;
mod send;
mod serve;
mod unrung;
mod wait;
mod watchdog;

pub use self::flush::{Budget, Flushed};
pub use self::hotplug::Sleep;
pub use self::many::{Reached, To};
pub use self::pinned::Pinned;
pub use self::post::Chain;
pub use self::serve::Serve;
pub use self::watchdog::Watch;

use self::context::{InCall, NoUnwind};
use crate::error::CpuCountError;
use crate::multicast::Slots;
use crate::percpu::{CPUS_MAX, PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::stamp::Stamp;
use crate::sync::AtomicUsize;
use crate::trace::{Event, EventKind};
use core::marker::PhantomPinned;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::pin::Pin;

/// A machine: up to [`CPUS_MAX`] CPUs that run functions for one another.
///
/// `P` is the port, `S` the memory that the user hands in. All functions take `&self` and may be called by any number
/// of threads, interrupts and CPUs at once; each says from which context.
///
/// Its CPUs come online once it is pinned, since what is queued points into it: in a `static` ([`Smp::as_pin`]), or by `Box::pin`, `Arc::pin`, `pin!`.
///
/// A machine that is dropped while CPUs are online takes with it what is queued: such a csd stays locked for ever.
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
    storage: S,
    _pinned: PhantomPinned,
}

// What a function throws is caught on its target (P11), and goes on in the caller only when its call is over: no queue, slot
// or state word is half changed then. The port is called by any CPU at any time, so it is whole between its calls.
impl<P, S> UnwindSafe for Smp<P, S> {}
impl<P, S> RefUnwindSafe for Smp<P, S> {}

impl<P: Platform, const N: usize> Smp<P, [PerCpu; N]> {
    crate::sync::const_unless_loom! {
        /// Makes a machine of `N` CPUs, all offline, in a `static` if one likes.
        ///
        /// # Panics
        ///
        /// If `N` is 0 or more than [`CPUS_MAX`]; for a `static`, when it is compiled.
        pub fn new(platform: P, storage: [PerCpu; N]) -> Self {
            assert!(N >= 1 && N <= CPUS_MAX, "a machine has 1 to 8192 CPUs");
            Self {
                platform,
                slots: Slots::new(),
                stalled: AtomicUsize::new(0),
                unrung: AtomicUsize::new(0),
                turns: AtomicUsize::new(0),
                storage,
                _pinned: PhantomPinned,
            }
        }
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Makes a machine of as many CPUs as `storage` has, all offline.
    ///
    /// # Errors
    ///
    /// [`CpuCountError`] if that is 0 or more than [`CPUS_MAX`].
    pub fn with_storage(platform: P, storage: S) -> Result<Self, CpuCountError> {
        match storage.cpus().len() {
            1..=CPUS_MAX => Ok(Self {
                platform,
                slots: Slots::new(),
                stalled: AtomicUsize::new(0),
                unrung: AtomicUsize::new(0),
                turns: AtomicUsize::new(0),
                storage,
                _pinned: PhantomPinned,
            }),
            asked => Err(CpuCountError { asked }),
        }
    }

    /// Returns the machine as pinned, which one in a `static` is.
    ///
    /// ```
    /// # use smpcall::{PerCpu, Platform, Smp};
    /// fn come_online<P: Platform>(smp: &'static Smp<P, [PerCpu; 4]>) {
    ///     smp.as_pin().online().expect("this CPU was offline");
    /// }
    /// ```
    pub fn as_pin(&'static self) -> Pin<&'static Self> {
        Pin::static_ref(self)
    }

    /// Returns how many CPUs the machine has, online or not.
    pub fn cpus_len(&self) -> u32 {
        self.cpus().len() as u32
    }

    /// Returns the port.
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

    /// The CPU that runs the caller, just now if it may migrate. The port's word is taken for granted, its number is not.
    #[inline(always)]
    fn here(&self) -> Option<(u32, &PerCpu)> {
        let cpu = self.platform.current_cpu()?;
        Some((cpu, self.cpu(cpu)?))
    }
}
