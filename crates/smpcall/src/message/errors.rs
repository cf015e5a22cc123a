//! What can be in the way of a message, and of its answer.

use crate::error::WaitError;
use core::fmt;

/// A message that was not sent, and what was to be sent with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendError<T> {
    /// The value, handed back.
    pub value: T,
    /// Why.
    pub why: NotSent,
}

/// Why a message was not sent. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSent {
    /// A value is on its way, or its function runs: take its answer first, or send by another message.
    Pending,
    /// An answer is in it, or being taken: take that first.
    Unread,
    /// The CPU is offline (P8). Send to another, or again when it is online.
    Offline,
    /// The machine has no CPU of that number.
    NoSuchCpu,
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "the message is on its way",
            Self::Unread => "the message's answer was not taken",
            Self::Offline => "the CPU is offline",
            Self::NoSuchCpu => "no such CPU",
        })
    }
}

impl core::error::Error for NotSent {}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<T: fmt::Debug> core::error::Error for SendError<T> {}

/// Why there is no answer to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TakeError<T> {
    /// Nothing was sent, or the answer was taken.
    Empty,
    /// The value is on its way, or its function runs: come again.
    Pending,
    /// The run was cancelled: here is the value.
    Cancelled(T),
    /// The function has panicked. The value is gone, and the panic went to [`Reporting::caught`](crate::Reporting::caught).
    Panicked,
}

impl<T> fmt::Display for TakeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing was sent",
            Self::Pending => "there is no answer yet",
            Self::Cancelled(_) => "the run was cancelled",
            Self::Panicked => "the function has panicked",
        })
    }
}

impl<T: fmt::Debug> core::error::Error for TakeError<T> {}

/// Why a wait for an answer did not end with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveError<T> {
    /// The caller could not wait, or not as long; the answer is still to come.
    Wait(WaitError),
    /// There is none, and none to come.
    Take(TakeError<T>),
}

impl<T> fmt::Display for ReceiveError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(error) => error.fmt(f),
            Self::Take(error) => error.fmt(f),
        }
    }
}

impl<T: fmt::Debug> core::error::Error for ReceiveError<T> {}
