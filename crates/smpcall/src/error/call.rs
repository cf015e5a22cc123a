//! Why a waiting call did not run.

use core::fmt;

/// Why a waiting call did not run.
///
/// | error | what it means | who relies on what | what to do |
/// |---|---|---|---|
/// | [`Offline`](Self::Offline) | the CPU takes nothing; nothing was queued (P8) | nobody | call another CPU, or again when it is online |
/// | [`WouldDeadlock`](Self::WouldDeadlock) | waiting here could deadlock (P10) | nobody | post instead, or call from thread context |
/// | [`NoSuchCpu`](Self::NoSuchCpu) | the machine has no CPU of that number | nobody | mend the caller |
///
/// ```
/// use smpcall::{CallError, Platform, Smp, Storage};
///
/// fn ask<P: Platform, S: Storage>(smp: &Smp<P, S>) -> Result<u32, CallError> {
///     match smp.call(1, || 1) {
///         Err(CallError::Offline) => smp.call(0, || 0), // another CPU will do
///         other => other,
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The CPU is offline, and nothing was queued (P8). Call another CPU, or again when it is online.
    Offline,
    /// The caller is in a context in which waiting could deadlock (P10): in call context, in an interrupt, or with
    /// interrupts off. Post an asynchronous csd instead, or call from thread context.
    WouldDeadlock,
    /// The machine has no CPU of that number.
    NoSuchCpu,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offline => "the CPU is offline",
            Self::WouldDeadlock => "waiting here could deadlock",
            Self::NoSuchCpu => "no such CPU",
        })
    }
}

impl core::error::Error for CallError {}

/// Why a waiting call by way of a slot ([`Smp::call_in`](crate::Smp::call_in)) did not run.
///
/// | error | what it means | who relies on what | what to do |
/// |---|---|---|---|
/// | [`SlotInUse`](Self::SlotInUse) | another call uses the slot | nobody | a slot for each thread, or again when that call is over |
/// | [`Call`](Self::Call) | as for [`Smp::call`](crate::Smp::call) | nobody | as for [`CallError`] |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallInError {
    /// Another call uses the slot. Keep one for each thread that calls, or try again when that call is over.
    SlotInUse,
    /// As for [`Smp::call`](crate::Smp::call).
    Call(CallError),
}

impl From<CallError> for CallInError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl fmt::Display for CallInError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SlotInUse => f.write_str("another call uses the slot"),
            Self::Call(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for CallInError {}
