//! What a port says of hardware that does, on other CPUs, what a call would have them do.

use super::Platform;

/// Broadcasts: one instruction by which all CPUs that the hardware reaches do what is asked for, whatever they run, without an interrupt: aarch64's
/// `TLBI …IS` and `IC IALLUIS`, AMD's `INVLPGB` with `TLBSYNC`. **Implement this when** the machine may have one, for a type `Q`
/// of the kernel's own for each sort of request; [`Smp::broadcast`](crate::Smp::broadcast) then takes it, and calls those that are left out.
///
/// It is none of [`Platform`]'s extensions: who does not implement it has no broadcasts, and pays nothing. What is asked for is done more than once, and on CPUs
/// that were not meant, so it has to be such that this does no harm, as to drop a translation.
///
/// # Duties
///
/// The core's soundness does not rest on these, but what the request is for does.
///
/// 1. When [`broadcast`](Self::broadcast) has returned `Ok`, it is *done* on each CPU that [`left_out`](Self::left_out) does not name: whatever that CPU
///    had begun by what is gone now is over, and from now on it finds what the caller had written before the call. (On aarch64: `DSB ISHST`,
///    `TLBI`, `DSB ISH`. On AMD: `INVLPGB`, `TLBSYNC`, on one CPU.)
/// 2. `left_out` speaks of the broadcast that the caller has just made. It names every CPU of which it is not sure, and one that came
///    within reach only after the instruction.
/// 3. [`do_here`](Self::do_here) does the same as a broadcast, on one CPU.
/// 4. A CPU that the hardware does not reach, while it is offline, is neither reached nor called. So it throws out all that it has when
///    it has come online, before it uses any of it (P8). That is so with calls alone, too.
/// 5. None of them unwinds, posts or waits for another CPU's software.
///
/// ```
/// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
/// # use std::sync::atomic::{AtomicUsize, Ordering};
/// use smpcall::{Broadcasting, NotBroadcast};
///
/// /// Drop this page from the TLB.
/// struct Page(usize);
/// # static DROPPED: AtomicUsize = AtomicUsize::new(0);
/// # fn tlbi_is(page: &Page) { DROPPED.store(page.0, Ordering::Relaxed); }
/// # fn tlbi(page: &Page) { tlbi_is(page) }
///
/// struct Port { no_interrupts_for: usize }
/// impl Broadcasting<Page> for Port {
///     fn broadcast(&self, page: &Page) -> Result<(), NotBroadcast> {
///         if page.0 == 0 { return Err(NotBroadcast) } // not by this instruction: then all are called
///         tlbi_is(page);
///         Ok(())
///     }
///     fn left_out(&self, _page: &Page, first: u32, cpus: usize) -> usize {
///         cpus & self.no_interrupts_for >> first // these are called
///     }
///     fn do_here(&self, page: &Page) { tlbi(page); }
/// }
/// # one_cpu!(Port);
/// # smpcall::simple_port!(Port);
/// # let smp = one::machine(Port { no_interrupts_for: 0b100 });
/// # let _cpu = smp.as_ref().online().unwrap();
/// assert_eq!(smp.platform().left_out(&Page(7), 0, 0b111), 0b100);
/// smp.broadcast(smpcall::To::All, &Page(7)).unwrap();
/// assert_eq!(DROPPED.load(Ordering::Relaxed), 7);
/// smp.broadcast(smpcall::To::All, &Page(0)).unwrap(); // by a call
/// assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
/// ```
pub trait Broadcasting<Q: ?Sized>: Platform {
    /// Does `request` on all CPUs within reach, the caller's own among them, and returns when it is done there.
    ///
    /// Context: any that may call [`Smp::broadcast`](crate::Smp::broadcast); with the irq guard held, so that the caller stays on its CPU.
    ///
    /// # Errors
    ///
    /// [`NotBroadcast`] if this machine, or this hypervisor, does not do that, or not for this request: then all that are meant are called. It may
    /// be another answer the next time.
    fn broadcast(&self, request: &Q) -> Result<(), NotBroadcast>;

    /// Returns which of the CPUs `first + n`, for each bit `n` of `cpus`, the caller's last broadcast of `request` has not reached: a bit for
    /// each; 0: it has reached them all. Called only after one that was `Ok`.
    ///
    /// Context: as for [`broadcast`](Self::broadcast), but without the guard.
    fn left_out(&self, request: &Q, first: u32, cpus: usize) -> usize {
        let _ = (request, first, cpus);
        0
    }

    /// Does `request` on the CPU that runs the caller.
    ///
    /// Context: call context, local interrupts off.
    fn do_here(&self, request: &Q);
}

/// There was no broadcast, and nobody was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBroadcast;

impl core::fmt::Display for NotBroadcast {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the hardware does not broadcast this")
    }
}

impl core::error::Error for NotBroadcast {}
