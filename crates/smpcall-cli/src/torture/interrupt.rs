//! Posters in interrupt context: signals, whose handlers post.
//!
//! A handler comes between any two instructions of its thread, also between the claim and the push of a post. It only
//! posts, what it posts was made before and is never freed, and it counts in atomics: nothing in it allocates or locks.
//!
//! One signal at a time is under way to a thread: who wants to send one takes the context's `pending`, and the handler
//! gives it back. So it can be known when none is, and none is sent to a thread that has ended.

use super::asleep;
use super::rig::Soak;
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal as Number, sigaction};
use smpcall_conformance::soak::{Came, Signal};
use std::cell::Cell;

/// A CPU's thread, as the system knows it.
pub(super) struct SignalContext {
    thread: Signal,
    /// The kernel's number of the thread.
    pub(super) kernel_thread: Signal,
    /// It is inside a `park` that has no end but a ring.
    pub(super) parked: Signal,
    /// Whether a signal is under way, or the thread is not there.
    pending: Signal,
}

impl SignalContext {
    pub(super) fn new() -> Self {
        let [thread, kernel_thread, parked] = [const { Signal::new(0) }; 3];
        Self { thread, kernel_thread, parked, pending: Signal::new(1) }
    }

    /// Whether no handler is under way, and none is to come unless somebody sends another.
    pub(super) fn is_quiet(&self) -> bool {
        !self.pending.is_set()
    }

    /// The calling thread is going to end: returns when nobody can send it a signal any more.
    pub(super) fn retire(&self) {
        while self.pending.swap(1) != 0 {
            std::thread::yield_now();
        }
    }
}

thread_local! {
    /// Whose handler this thread runs. Needs no start and no end, so a handler may read it at any time.
    static HERE: Cell<Option<(&'static Soak, u32)>> = const { Cell::new(None) };
}

/// Installs the handler, for all threads; those that are not enlisted ignore the signal.
#[expect(unsafe_code, reason = "installing a handler is unsafe: it must be fit for a signal")]
pub(super) fn install() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler allocates nothing, takes no lock, and leaves errno as it was (see the module's docs).
    unsafe { sigaction(Number::SIGUSR1, &action) }.context("cannot install a signal handler")?;
    Ok(())
}

/// The calling thread runs the handlers of `cpu` from now on.
pub(super) fn enlist(soak: &'static Soak, cpu: u32) {
    HERE.set(Some((soak, cpu)));
    let context = &soak.rig().contexts[cpu as usize];
    context.thread.set(pthread_self() as usize);
    context.kernel_thread.set(asleep::this_thread() as usize);
    context.pending.set(0);
}

/// Sends a signal to a CPU's thread, unless one is under way.
pub(super) fn send(context: &SignalContext) -> Came {
    if context.pending.swap(1) != 0 {
        return Came::Refused;
    }
    match pthread_kill(context.thread.get() as Pthread, Number::SIGUSR1) {
        Ok(()) => Came::Done,
        Err(_) => {
            context.pending.set(0);
            Came::Refused
        }
    }
}

extern "C" fn on_signal(_number: i32) {
    let errno = Errno::last_raw();
    if let Some((soak, cpu)) = HERE.get() {
        soak.interrupted(cpu);
        soak.rig().contexts[cpu as usize].pending.set(0);
    }
    Errno::set_raw(errno);
}
