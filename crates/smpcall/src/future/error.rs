//! Why a call that was awaited has no result.

use core::fmt;

/// Why a call that was awaited has no result. `X` is what a panic leaves behind on that port ([`Platform::Panic`](crate::Platform::Panic)).
///
/// | error | what it means | what to do |
/// |---|---|---|
/// | [`Offline`](Self::Offline) | the CPU takes nothing; nothing was queued (P8) | call another CPU, or again when it is online |
/// | [`NoSuchCpu`](Self::NoSuchCpu) | the machine has no CPU of that number | mend the caller |
/// | [`TimedOut`](Self::TimedOut) | the deadline had passed, and the function has not begun | what is done when it is too late |
/// | [`Panicked`](Self::Panicked) | the function has panicked on its target | look at the panic, or go on with it |
///
/// In each case but the last the function did not run and will not, and was dropped on the caller. Once it has begun there is no
/// error but its panic: a call that was accepted is run by its CPU also when that goes offline (P8).
///
/// ```
/// use smpcall::AsyncCallError;
///
/// fn shed(load: AsyncCallError<Box<dyn std::any::Any + Send>>) -> &'static str {
///     match load {
///         AsyncCallError::TimedOut => "busy",
///         AsyncCallError::Panicked(panic) => std::panic::resume_unwind(panic),
///         _ => "gone",
///     }
/// }
/// # assert_eq!(shed(AsyncCallError::TimedOut), "busy");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AsyncCallError<X> {
    /// The CPU is offline, and nothing was queued (P8). Call another CPU, or again when it is online.
    Offline,
    /// The machine has no CPU of that number.
    NoSuchCpu,
    /// The deadline ([`PendingCall::before`](crate::PendingCall::before)) had passed before the function began: it does not run.
    TimedOut,
    /// The function has panicked: here is what it threw (P11).
    Panicked(X),
}

impl<X> fmt::Display for AsyncCallError<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "the CPU is offline",
            Self::NoSuchCpu => "no such CPU",
            Self::TimedOut => "the deadline had passed before the function began",
            Self::Panicked(_) => "the function has panicked",
        })
    }
}

impl<X: fmt::Debug> core::error::Error for AsyncCallError<X> {}
