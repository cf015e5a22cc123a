//! A message to an io_uring.

use super::Doorbell;
use crate::uring;
use nix::errno::Errno;
use smpcall::RingError;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A completion in the io_uring that its CPU's thread sleeps in (`IORING_OP_MSG_RING`): for loops that submit and wait, and watch no
/// file descriptor. It is sent by register, so that posters need no ring of their own: Linux 6.13 and later.
///
/// The completion has the `user_data` that was asked for, and result 0. It ends the wait, and is consumed as any other; there is
/// nothing to be read. A ring that is disabled, or has no room for completions, fails its posters ([`RingError`]): nothing is
/// lost, and reports name the CPU.
///
/// ```
/// use smpcall_host::smpcall::{Budget, Flushed};
/// use smpcall_host::{Machine, MsgRing};
///
/// use std::os::fd::{AsRawFd, BorrowedFd};
///
/// let Ok(mut ring) = io_uring::IoUring::new(8) else { return Ok(()) }; // no io_uring here
/// // SAFETY: the ring is there until the doorbell has its own descriptor.
/// let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
/// let Ok(doorbell) = MsgRing::new(fd, 77) else { return Ok(()) }; // or an old one
/// let machine = Machine::builder().attachable(1).build()?;
/// let mut here = machine.attach_with(0, doorbell)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| machine.post_detached(0, || ()));
///     while here.poll(Budget::DEFAULT) == Flushed::All(0) {
///         if let Ok(guard) = here.begin_sleep() {
///             let asleep = guard.commit();
///             ring.submit_and_wait(1).unwrap();
///             assert_eq!(ring.completion().next().unwrap().user_data(), 77);
///             assert_eq!(asleep.woken(Budget::DEFAULT), Flushed::All(1));
///             break;
///         }
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MsgRing {
    ring: OwnedFd,
    user_data: u64,
}

impl MsgRing {
    /// One that completes in that ring, with that `user_data`. It holds a descriptor of the ring of its own.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] if the kernel sends no such messages by register; too many open files.
    pub fn new(ring: impl AsFd, user_data: u64) -> io::Result<Self> {
        let ring = ring.as_fd().try_clone_to_owned()?;
        // Sent to what is no ring: a kernel that knows the message looks at its target.
        match uring::send(nix::unistd::pipe()?.0.as_fd(), user_data) {
            Err(Errno::EBADFD | Errno::EBADF) => Ok(Self { ring, user_data }),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl Doorbell for MsgRing {
    fn ring(&self) -> Result<(), RingError> {
        let errno = Errno::last_raw();
        uring::send(self.ring.as_fd(), self.user_data).map_err(|_| {
            // In a signal's handler it is not ours.
            Errno::set_raw(errno);
            RingError
        })
    }
}
