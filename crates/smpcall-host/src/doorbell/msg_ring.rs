//! A message to an io_uring.

mod own;

use self::own::OwnRing;
use super::Doorbell;
use crate::uring;
use nix::errno::Errno;
use smpcall::RingError;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// A completion in the io_uring that its CPU's thread sleeps in (`IORING_OP_MSG_RING`): for loops that submit and wait, and watch no
/// file descriptor. Posters need no ring of their own. It is sent by register, `IORING_REGISTER_SEND_MSG_RING`, from Linux 6.13 on; on
/// an older kernel, from 5.18 on, by a small ring that the doorbell has for that, which all posters share without a lock.
///
/// The completion has the `user_data` that was asked for, and result 0. It ends the wait, and is consumed as any other; there is
/// nothing to be read. If the ring's completion queue is full the kernel keeps the completion until there is room. A ring that is
/// disabled, or gone, or for whose completion the kernel has no memory, fails its posters ([`RingError`]): nothing is lost, and
/// reports name the CPU.
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
    way: Way,
}

/// How a message gets there.
#[derive(Debug)]
enum Way {
    Register,
    Own(Box<OwnRing>),
}

impl MsgRing {
    /// One that completes in that ring, with that `user_data`. It holds a descriptor of the ring of its own. Its messages are sent by
    /// register, or, where the kernel sends none by that, as those of [`by_own_ring`](Self::by_own_ring).
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`] if the kernel sends no such messages at all; too many open files.
    pub fn new(ring: impl AsFd, user_data: u64) -> io::Result<Self> {
        // Sent to what is no ring: a kernel that knows the message looks at its target.
        let (nowhere, _) = nix::unistd::pipe()?;
        if uring::send(nowhere.as_fd(), user_data) != Err(Errno::EBADFD) {
            return Self::by_own_ring(ring, user_data);
        }
        Ok(Self { ring: ring.as_fd().try_clone_to_owned()?, user_data, way: Way::Register })
    }

    /// The same, whose messages are sent by a ring of its own, on each kernel: one more descriptor for each CPU, and nothing
    /// faster.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and those of making a ring.
    ///
    /// ```
    /// use smpcall_host::{Doorbell, MsgRing};
    /// use std::os::fd::{AsRawFd, BorrowedFd};
    ///
    /// let Ok(mut ring) = io_uring::IoUring::new(8) else { return Ok(()) }; // no io_uring here
    /// // SAFETY: the ring is there until the doorbell has its own descriptor.
    /// let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    /// let Ok(doorbell) = MsgRing::by_own_ring(fd, 77) else { return Ok(()) };
    /// doorbell.ring()?;
    /// ring.submit_and_wait(1)?;
    /// assert_eq!(ring.completion().next().map(|message| message.user_data()), Some(77));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn by_own_ring(ring: impl AsFd, user_data: u64) -> io::Result<Self> {
        Ok(Self {
            ring: ring.as_fd().try_clone_to_owned()?,
            user_data,
            way: Way::Own(Box::new(OwnRing::new()?)),
        })
    }
}

impl Doorbell for MsgRing {
    fn ring(&self) -> Result<(), RingError> {
        let errno = Errno::last_raw();
        let sent = match &self.way {
            Way::Register => uring::send(self.ring.as_fd(), self.user_data).map_err(|_| RingError),
            Way::Own(own) => own.send(self.ring.as_fd(), self.user_data),
        };
        // In a signal's handler it is not ours.
        Errno::set_raw(errno);
        sent
    }
}
