//! Handlers of signals that doorbells send, and whether a thread has such a signal blocked. For the doorbells of this crate and of those beside it.

use crate::attach::AttachError;
use nix::libc::{self, c_int};
use std::mem::MaybeUninit;
use std::ptr;

/// Why a handler is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallError {
    /// The signal has another handler, or is ignored; that was left as it was.
    Taken,
    /// No such signal, or none that a program may send itself and catch: a fault comes again as its handler returns.
    Refused,
}

/// Whether a thread has a signal blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masked {
    /// It is delivered.
    Open,
    /// It waits.
    Blocked,
}

/// Sets the handler of a signal, if nobody uses that otherwise; once it is there, this changes nothing. It stays.
///
/// System calls of the program's own that it interrupts go on, where the kernel restarts them (`SA_RESTART`).
///
/// Context: thread. Progress: a system call or two.
///
/// # Errors
///
/// [`InstallError`].
///
/// # Safety
///
/// The handler is async-signal-safe, and right in any thread at any time.
pub unsafe fn install(signal: c_int, handler: extern "C" fn(c_int)) -> Result<(), InstallError> {
    let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
    if faults.contains(&signal) {
        return Err(InstallError::Refused);
    }
    let ours = handler as libc::sighandler_t;
    let is_ours = |action: &libc::sigaction| action.sa_sigaction == ours;
    let is_default = |action: &libc::sigaction| action.sa_sigaction == libc::SIG_DFL;
    let before = action_of(signal, None)?;
    if is_ours(&before) {
        return Ok(());
    }
    if !is_default(&before) {
        return Err(InstallError::Taken);
    }
    // SAFETY: all zeroes is an action, with no signals masked and the default handler.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = ours;
    // On the thread's own stack, not on the small one for faults.
    action.sa_flags = libc::SA_RESTART;
    let replaced = action_of(signal, Some(&action))?;
    if is_default(&replaced) || is_ours(&replaced) {
        return Ok(());
    }
    // Somebody was faster.
    action_of(signal, Some(&replaced))?;
    Err(InstallError::Taken)
}

fn action_of(signal: c_int, new: Option<&libc::sigaction>) -> Result<libc::sigaction, InstallError> {
    let mut old = MaybeUninit::zeroed();
    // SAFETY: both are there until it returns; a new handler is what the caller of `install` vouches for, or what was there before.
    let result = unsafe { libc::sigaction(signal, new.map_or(ptr::null(), ptr::from_ref), old.as_mut_ptr()) };
    // SAFETY: it was all zeroes, which is an action.
    if result == 0 { Ok(unsafe { old.assume_init() }) } else { Err(InstallError::Refused) }
}

impl InstallError {
    /// The same, of that signal, as attaching has it.
    pub fn of(self, signal: c_int) -> AttachError {
        match self {
            Self::Taken => AttachError::SignalTaken(signal),
            Self::Refused => AttachError::NoSuchSignal(signal),
        }
    }
}

/// Opens a signal that has a handler in the calling thread, or blocks it; returns what it was before.
pub fn mask(signal: c_int, masked: Masked) -> Masked {
    let how = match masked {
        Masked::Open => libc::SIG_UNBLOCK,
        Masked::Blocked => libc::SIG_BLOCK,
    };
    let (mut set, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: the sets are there, and filled by the calls before they are read; none fails for a signal that has a handler.
    let was_blocked = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::sigemptyset(before.as_mut_ptr());
        libc::pthread_sigmask(how, set.as_ptr(), before.as_mut_ptr());
        libc::sigismember(before.as_ptr(), signal) == 1
    };
    if was_blocked { Masked::Blocked } else { Masked::Open }
}
