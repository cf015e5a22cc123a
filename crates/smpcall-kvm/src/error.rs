//! What may go wrong.

use smpcall_host::AttachError;
use smpcall_host::smpcall::CallError;
use std::{fmt, io};

/// Why a thread could not become a vCPU. The guest is handed back beside it.
#[derive(Debug)]
#[non_exhaustive]
pub enum VcpuAttachError {
    /// It does not become a CPU of the machine; of its own
    /// [`SignalTaken`](AttachError::SignalTaken) and [`NoSuchSignal`](AttachError::NoSuchSignal).
    Attach(AttachError),
    /// The guest's page cannot be mapped.
    Map(io::Error),
}

/// Why a vCPU's guest was not reached. The function was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestError {
    /// The thread is no vCPU, or its guest is of another type.
    NoSuchGuest,
    /// The vCPU's thread is in the handler of an exit, and waits there for somebody else; or the operation that the guest left for is
    /// half done. Try again when it has gone on.
    InExit,
    /// The vCPU is not paused.
    NotPaused,
}

/// Why something was not done on a vCPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VcpuError {
    /// It was not called: [`CallError::Offline`] if its thread has ended, or has left the machine.
    Call(CallError),
    /// It was, and had no guest to give.
    Guest(GuestError),
}

/// Why a vCPU does not run.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// Not from call context, nor inside of a function of this CPU: who ran the guest there would hold up whoever called.
    InCall,
    /// The operation that the guest left for is half done: [run](crate::Vcpu::run) it first.
    HalfDone,
    /// The guest's own error, such as KVM's. The vCPU may be run again.
    Guest(io::Error),
}

impl fmt::Display for VcpuAttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach(error) => write!(f, "{error}"),
            Self::Map(error) => write!(f, "cannot map the guest's page: {error}"),
        }
    }
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchGuest => "the thread runs no such guest",
            Self::InExit => "the guest's last exit is still being answered",
            Self::NotPaused => "the vCPU is not paused",
        })
    }
}

impl fmt::Display for VcpuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => write!(f, "{error}"),
            Self::Guest(error) => write!(f, "{error}"),
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCall => f.write_str("a guest is not run inside of a call"),
            Self::HalfDone => f.write_str("the guest's last exit is half done"),
            Self::Guest(error) => write!(f, "the guest does not run: {error}"),
        }
    }
}

impl std::error::Error for VcpuAttachError {}
impl std::error::Error for GuestError {}
impl std::error::Error for VcpuError {}
impl std::error::Error for RunError {}

impl From<CallError> for VcpuError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<GuestError> for VcpuError {
    fn from(error: GuestError) -> Self {
        Self::Guest(error)
    }
}
