//! The machine: its CPUs, and what one can ask of them.
//!
//! The way of a call: [`post`] or [`call`] puts a header into the target's queue and rings; [`flush`], on the target,
//! takes the list and runs it; [`many`] calls several at once; [`wait`] is how a caller passes the time until then. [`hotplug`] opens and closes
//! queues, and says who polls; [`watchdog`] looks for CPUs that do not come forward.

mod blocking;
#[cfg(feature = "alloc")]
mod boxed;
mod call;
mod detached;
mod flush;
mod foreign;
mod hotplug;
mod lazy;
mod many;
mod pinned;
mod post;
mod send;
mod wait;
mod watchdog;

pub use self::flush::{Budget, Flushed};
pub use self::hotplug::Sleep;
pub use self::many::{Reached, To};
pub use self::pinned::Pinned;
pub use self::post::Chain;
pub use self::watchdog::Watch;

use crate::error::CpuCountError;
use crate::multicast::Slots;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;
use crate::sync::AtomicUsize;
use crate::trace::{Event, What};

/// The most CPUs that a machine can have.
pub const CPUS_MAX: usize = 8192;

/// A machine: up to [`CPUS_MAX`] CPUs that run functions for one another.
///
/// `P` is the port, `S` the memory that the user hands in. All functions take `&self` and may be called by any number
/// of threads, interrupts and CPUs at once; each says from which context.
///
/// A machine that is dropped while CPUs are online takes with it what is queued: such a csd stays locked for ever.
#[derive(Debug)]
pub struct Smp<P, S> {
    platform: P,
    slots: Slots,
    /// How many waits were reported as stalled and are not over.
    stalled: AtomicUsize,
    storage: S,
}

impl<P: Platform, const N: usize> Smp<P, [PerCpu; N]> {
    crate::sync::const_unless_loom! {
        /// Makes a machine of `N` CPUs, all offline, in a `static` if one likes.
        ///
        /// # Panics
        ///
        /// If `N` is 0 or more than [`CPUS_MAX`]; for a `static`, when it is compiled.
        pub fn new(platform: P, storage: [PerCpu; N]) -> Self {
            assert!(N >= 1 && N <= CPUS_MAX, "a machine has 1 to 8192 CPUs");
            Self { platform, slots: Slots::new(), stalled: AtomicUsize::new(0), storage }
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
            1..=CPUS_MAX => Ok(Self { platform, slots: Slots::new(), stalled: AtomicUsize::new(0), storage }),
            asked => Err(CpuCountError { asked }),
        }
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

    /// Behind `told!`.
    #[inline]
    fn tell(&self, what: What) {
        self.platform.trace(&Event { by: self.platform.current_cpu(), what });
    }

    /// The CPU that runs the caller, if it is in call context.
    #[inline(always)]
    pub(crate) fn cpu_in_call(&self) -> Option<u32> {
        let (cpu, here) = self.here()?;
        here.own.0.in_call().then_some(cpu)
    }

    /// The CPU that runs the caller. The port's word is taken for granted, its number is not.
    #[inline(always)]
    fn here(&self) -> Option<(u32, &PerCpu)> {
        let cpu = self.platform.current_cpu()?;
        Some((cpu, self.cpu(cpu)?))
    }
}
