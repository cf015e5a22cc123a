//! What code of the user's may do while a frame of this crate lies below it on its CPU's stack (I20).
//!
//! | where the core calls code of the user's, or of the port's that may be the user's | guard | refused there |
//! |---|---|---|
//! | functions of posts, calls, multicasts; a call to one's own CPU | [`InCall`] | flush, waits, coming online, going offline, polling |
//! | tracers; the iterator of [`Smp::post_all`] | [`InCall`] | the same |
//! | functions of blocking calls ([`Cpu::run_blocking`](super::Cpu::run_blocking)); one of a CPU to itself | [`InFrame`] | coming online, going offline, polling, sleeping; a handle; a thread becoming a CPU |
//! | conditions of [`Cpu::serve`](super::Cpu::serve), of [`To::If`](super::To::If); the caller's work in [`Smp::call_many_meanwhile`]; handlers of reports on stalls | [`InFrame`] | the same |
//! | the drop of a function that was refused; the iterator of [`Topology::nearest`](crate::Topology::nearest) | none: no frame below uses the CPU any more, or yet | nothing |
//!
//! What unwinds out of them (P11): functions are called by [`Platform::catch`]; an iterator's, a condition's and a drop's panic goes
//! to the caller, once what was begun is finished; a tracer, a report handler, `caught`, `ring` and `wake` do not unwind, which the
//! port promises, and [`NoUnwind`] aborts where a frame could not be left.

use super::Smp;
use crate::error::HotplugError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;

/// Call context, until it is dropped. The irq guard is held: a flush that is refused meanwhile would otherwise lose a doorbell.
pub(super) struct InCall<'a> {
    here: &'a PerCpu,
    before: bool,
}

impl<'a> InCall<'a> {
    pub(super) fn enter(here: &'a PerCpu) -> Self {
        let before = here.own.in_call();
        here.own.set_in_call(true);
        Self { here, before }
    }
}

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        self.here.own.set_in_call(self.before);
    }
}

/// A frame of this crate below code of the user's that runs in thread context, until it is dropped.
pub(super) struct InFrame<'a, P: Platform> {
    platform: &'a P,
    here: Option<&'a PerCpu>,
}

impl<'a, P: Platform> InFrame<'a, P> {
    /// `here`: the CPU that the frame uses as its owner. None for a thread that is no CPU: it must not become one meanwhile, which
    /// is the port's to see to.
    pub(super) fn enter(platform: &'a P, here: Option<&'a PerCpu>) -> Self {
        match here {
            Some(here) => here.own.set_frames(here.own.frames() + 1),
            None => platform.frame_begins(),
        }
        Self { platform, here }
    }
}

impl<P: Platform> Drop for InFrame<'_, P> {
    fn drop(&mut self) {
        match self.here {
            Some(here) => here.own.set_frames(here.own.frames() - 1),
            None => self.platform.frame_ends(),
        }
    }
}

/// Aborts if the stack unwinds past it: a panic while panicking does. Stands where a frame cannot be left, since a target may still
/// reach it (I5), or a CPU's own state would stay half changed.
pub(super) struct NoUnwind;

impl NoUnwind {
    /// Runs what does not unwind, or ends the process.
    #[inline(always)]
    pub(super) fn around<R>(f: impl FnOnce() -> R) -> R {
        let guard = Self;
        let result = f();
        core::mem::forget(guard);
        result
    }
}

impl Drop for NoUnwind {
    fn drop(&mut self) {
        panic!("a panic where a frame of smpcall cannot be left");
    }
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Hands a panic that nobody waits for to the port.
    pub(super) fn note_panic(&self, panic: P::Panic) {
        // In the middle of a batch: those behind it are still to be run.
        NoUnwind::around(|| self.platform.caught(panic));
    }
}

/// Refuses where a flush is under way, or a frame below uses the CPU (I20).
pub(super) fn demand_no_frame(here: &PerCpu) -> Result<(), HotplugError> {
    let own = &*here.own;
    if own.in_call() || own.frames() != 0 { Err(HotplugError::InCall) } else { Ok(()) }
}
