//! What an io_uring is sent without a ring of one's own, for which there is no safe interface.

use nix::errno::Errno;
use nix::libc::{self, SYS_io_uring_register};
use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `IORING_REGISTER_SEND_MSG_RING`: of no ring (−1), one entry.
const SEND_MSG_RING: libc::c_uint = 31;
/// `IORING_OP_MSG_RING`.
const MSG_RING: u8 = 40;

/// A submission, as `struct io_uring_sqe`, with the fields that a message has.
#[repr(C)]
#[derive(Default)]
struct Submission {
    opcode: u8,
    flags: u8,
    priority: u16,
    ring: c_int,
    /// What the completion has as its user's data.
    offset: u64,
    /// 0: data.
    kind: u64,
    /// What the completion has as its result.
    len: u32,
    message_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

const _: () = assert!(size_of::<Submission>() == 64);

/// Puts a completion into a ring, with that user's data. Never waits. Async-signal-safe, but for `errno`.
pub(crate) fn send(ring: BorrowedFd<'_>, user_data: u64) -> Result<(), Errno> {
    let message =
        Submission { opcode: MSG_RING, ring: ring.as_raw_fd(), offset: user_data, ..Submission::default() };
    // SAFETY: the entry is there until the call returns, and the kernel only reads it.
    let sent = unsafe { libc::syscall(SYS_io_uring_register, -1, SEND_MSG_RING, &raw const message, 1) };
    Errno::result(sent).map(drop)
}
