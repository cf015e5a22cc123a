//! An eventfd.

use super::Doorbell;
use nix::errno::Errno;
use nix::sys::eventfd::{self, EfdFlags};
use smpcall::RingError;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file descriptor that becomes readable when its CPU is rung: for epoll, mio, tokio's `AsyncFd`, async-io, io_uring.
///
/// It is written at most once for each sleep, and read only if it was written; a loop reads it by
/// [`Asleep::woken`](crate::Asleep::woken), [`Attached::poll`](crate::Attached::poll) or
/// [`Attached::acknowledge`](crate::Attached::acknowledge), and never by itself. Level-triggered and edge-triggered loops both do. It is
/// closed with its CPU's [`Attached`](crate::Attached), so take it out of what watches it first.
///
/// If the descriptor is closed or replaced by somebody else, rings fail ([`RingError`]): nothing is lost, and reports name the CPU.
///
/// ```
/// use smpcall_host::smpcall::{Budget, Flushed};
/// use smpcall_host::{EventFd, Machine};
/// use std::os::fd::AsFd;
///
/// let machine = Machine::builder().attachable(1).build()?;
/// let mut here = machine.attach_with(0, EventFd::new()?)?;
/// let fd = here.as_fd().try_clone_to_owned()?; // to be watched by the program's loop
/// machine.post_detached(0, || ())?; // makes it readable
/// assert_eq!(here.poll(Budget::DEFAULT), Flushed::All(1)); // and no longer
/// # drop(fd);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EventFd {
    fd: eventfd::EventFd,
    /// How often it was, or is about to be, written since it was read.
    written: AtomicU64,
}

impl EventFd {
    /// Makes one, which is closed when another program is executed, and does not block.
    ///
    /// # Errors
    ///
    /// The kernel's: too many open files.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self { fd: eventfd::EventFd::from_flags(flags)?, written: AtomicU64::new(0) })
    }
}

impl Doorbell for EventFd {
    fn ring(&self) -> Result<(), RingError> {
        let errno = Errno::last_raw();
        // Relaxed: a count; who is woken by the write sees it, and who does not finds the descriptor readable still.
        self.written.fetch_add(1, Ordering::Relaxed);
        match self.fd.write(1) {
            // Its counter is full: it is readable.
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(_) => {
                // Relaxed: as above.
                self.written.fetch_sub(1, Ordering::Relaxed);
                // In a signal's handler it is not ours.
                Errno::set_raw(errno);
                Err(RingError)
            }
        }
    }

    fn acknowledge(&self) {
        // Relaxed: as above.
        if self.written.load(Ordering::Relaxed) == 0 {
            return;
        }
        // An error: the write has not arrived, and is read next time.
        if let Ok(read) = self.fd.read() {
            // Relaxed: as above. At most what there is: somebody else may have written, too.
            let update = |written: u64| Some(written.saturating_sub(read));
            // Failure Relaxed: as above; it does not fail.
            let _ = self.written.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(doorbell: &EventFd) -> u64 {
        // Relaxed: this thread's own.
        doorbell.written.load(Ordering::Relaxed)
    }

    #[test]
    fn rings_are_taken_back_together_and_nothing_is_read_if_there_was_none() {
        let doorbell = EventFd::new().expect("few files are open");
        assert_eq!([(); 3].map(|()| doorbell.ring()), [Ok(()); 3]);
        assert_eq!(written(&doorbell), 3);
        doorbell.acknowledge();
        assert_eq!((written(&doorbell), doorbell.fd.read()), (0, Err(Errno::EAGAIN)));
        // Somebody else's write: not ours to read, until a ring comes.
        doorbell.fd.write(1).expect("there is room");
        doorbell.acknowledge();
        doorbell.ring().expect("there is room");
        doorbell.acknowledge();
        assert_eq!((written(&doorbell), doorbell.fd.read()), (0, Err(Errno::EAGAIN)));
    }

    #[test]
    fn a_ring_whose_write_has_not_arrived_is_read_later() {
        let doorbell = EventFd::new().expect("few files are open");
        // As a poster that was preempted.
        // Relaxed: this thread's own.
        doorbell.written.fetch_add(1, Ordering::Relaxed);
        doorbell.acknowledge();
        assert_eq!(written(&doorbell), 1);
        doorbell.fd.write(1).expect("there is room");
        doorbell.acknowledge();
        assert_eq!((written(&doorbell), doorbell.fd.read()), (0, Err(Errno::EAGAIN)));
    }

    #[test]
    fn a_counter_that_is_full_is_readable_and_no_error() {
        let doorbell = EventFd::new().expect("few files are open");
        doorbell.fd.write(u64::MAX - 1).expect("there is room");
        assert_eq!(doorbell.ring(), Ok(()));
        doorbell.acknowledge();
        assert_eq!((written(&doorbell), doorbell.fd.read()), (0, Err(Errno::EAGAIN)));
    }
}
