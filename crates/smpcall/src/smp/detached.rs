//! Detached calls: a function that runs on another CPU, and nobody waits, and nobody keeps a csd for it.
//!
//! What keeps the slots sound is in [`crate::detached`].

use super::Smp;
use crate::csd::Op;
use crate::error::DetachedError;
use crate::payload::{copied, copy_of};
use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform};
use crate::queue::Seen;
use crate::trace::{CallKind, EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Has `function` run once on `cpu`, in call context, and returns at once. No csd is needed: the function, three words at
    /// most, is kept in one of the target's [`DETACHED_MAX`](crate::DETACHED_MAX) slots until it begins.
    ///
    /// This is Linux's `smp_call_function_single(wait=0)`, which waits for the caller CPU's last such call to begin; this one
    /// never waits. It may be called again from inside the function (P5). Detached calls of one sender to one target run in the
    /// order in which they were made (P6). A panic in the function goes to [`Reporting::caught`](crate::Reporting::caught).
    ///
    /// Context: any; interrupts off, call context and NMI included. Progress: lock-free, allocates nothing (P9).
    ///
    /// # Errors
    ///
    /// [`DetachedError`]. Its `Full` says that there is no room; it promises no run.
    /// Two CPUs that try again and again to post to each other flush between two tries ([`Machine::flush`](crate::Machine::flush)): each may wait for the
    /// room that only the other's flush makes.
    ///
    /// ```compile_fail,E0277
    /// # use smpcall::{Platform, Smp, Storage};
    /// fn not_copy<P: Platform, S: Storage>(smp: &Smp<P, S>, text: String) {
    ///     let _ = smp.post_detached(1, move || drop(text)); // `String` is not `Copy`
    /// }
    /// ```
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use smpcall::Budget;
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// static TICKS: AtomicU32 = AtomicU32::new(0);
    /// # let smp = one::machine(one::One);
    /// # let mut cpu = smp.as_ref().online().unwrap();
    /// let by = 3;
    /// smp.post_detached(0, move || _ = TICKS.fetch_add(by, Ordering::Relaxed)).unwrap();
    /// assert_eq!(TICKS.load(Ordering::Relaxed), 0); // it is queued
    /// let _ = cpu.flush(Budget::DEFAULT);
    /// assert_eq!(TICKS.load(Ordering::Relaxed), 3);
    /// ```
    #[inline]
    pub fn post_detached<F>(&self, cpu: u32, function: F) -> Result<(), DetachedError>
    where
        F: FnOnce() + Copy + Send + 'static,
    {
        let target = self.cpu(cpu).ok_or(DetachedError::NoSuchCpu)?;
        let expected = Self::expected(target);
        if expected == Seen::Offline {
            trace!(self, EventKind::Refused { cpu, csd: 0 });
            return Err(DetachedError::Offline);
        }
        // From the claim to the ring nobody on this CPU may wait for us.
        let _irq = IrqGuard::new(&self.platform);
        let slot = target.detached.claim(cpu).ok_or(DetachedError::Full)?;
        // SAFETY: claimed, and not pushed yet; `run_unpacked` takes the copy for the `F` that it is.
        unsafe { slot.fill(copied(function), run_unpacked::<F>) };
        let header = slot.header();
        trace!(
            self,
            EventKind::Queue {
                cpu,
                csd: header.name(),
                func: run_unpacked::<F> as *const () as usize,
                kind: CallKind::Detached
            }
        );
        self.stamp(&header.stamp);
        // SAFETY: it is ours, and stays where it is: the CPU has come online in a pinned machine (I13), or refuses.
        if unsafe { self.push_one(cpu, target, header, false, expected) } {
            return Ok(());
        }
        // `F: Copy`, so that there is nothing to drop, and nobody else can have relied on it (I12).
        let _ = header.state.unlock(cpu);
        Err(DetachedError::Offline)
    }
}

/// # Safety
///
/// `arg` is a copy of the payload that an `F` was written to.
unsafe fn run_unpacked<F: FnOnce() + Copy>(arg: *const (), op: Op) {
    debug_assert!(!op.is_discard(), "a detached call is not cancelled");
    // SAFETY: the caller's promise.
    let function: F = unsafe { copy_of(arg.cast()) };
    function();
}
