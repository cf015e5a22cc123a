//! The doorbell: what ends a run.

use crate::exit_flag::ExitFlag;
use nix::errno::Errno;
use nix::libc::{self, c_int, pid_t};
use smpcall_host::handler::{self, Masked};
use smpcall_host::smpcall::RingError;
use smpcall_host::{AttachError, Doorbell};
use std::io;
use std::os::fd::BorrowedFd;
use std::process;

/// Ends the `KVM_RUN` that its vCPU's thread is in, or is about to begin.
///
/// A ring raises `immediate_exit`, and then sends that one thread a signal. The race, both ways: *if the signal is delivered before the thread
/// is in `KVM_RUN`*, its handler does nothing, and the run that follows finds the byte, and does not enter the guest. *If it is delivered later*, it
/// ends the run. So one signal is enough, and none is ever sent again.
///
/// The machine's latch comes before it: it is rung once for each run that is to end, and not at all while the thread is out of the
/// guest (it looks by itself before it goes in again), or asleep in [`Vcpu::park`](crate::Vcpu::park) or a pause (the latch is a futex
/// then). A ring that comes late, of a run that has ended meanwhile, ends the next one in vain.
///
/// Made by [`Vcpu::attach`](crate::Vcpu::attach).
#[derive(Debug)]
pub struct Kick {
    exit: ExitFlag,
    signal: c_int,
    process: u32,
    thread: pid_t,
    was: Masked,
}

/// Does nothing: that it came is enough to end the system call that the thread is in.
extern "C" fn on_kick(_: c_int) {}

/// Why there is no doorbell.
pub(crate) enum KickError {
    Attach(AttachError),
    Map(io::Error),
}

impl Kick {
    /// For the calling thread, in which the signal is open from now on.
    ///
    /// # Safety
    ///
    /// As for a [`Guest`](crate::Guest)'s file.
    pub(crate) unsafe fn new(page: BorrowedFd<'_>, signal: c_int) -> Result<Self, KickError> {
        // SAFETY: the caller's promise.
        let exit = unsafe { ExitFlag::map(page) }.map_err(KickError::Map)?;
        // SAFETY: it does nothing.
        unsafe { handler::install(signal, on_kick) }.map_err(|why| KickError::Attach(why.of(signal)))?;
        // SAFETY: asks for the calling thread's own number.
        let thread = unsafe { libc::gettid() };
        let was = handler::mask(signal, Masked::Open);
        // What an earlier one has left.
        exit.lower();
        Ok(Self { exit, signal, process: process::id(), thread, was })
    }

    /// Its thread: the next run finishes what is half done, and does not enter the guest.
    pub(crate) fn raise(&self) {
        self.exit.raise();
    }

    /// Its thread: the signal is as it was before.
    pub(crate) fn end(signal: c_int, was: Masked) {
        if was == Masked::Blocked {
            handler::mask(signal, Masked::Blocked);
        }
    }

    pub(crate) fn was(&self) -> Masked {
        self.was
    }
}

impl Doorbell for Kick {
    /// Async-signal-safe.
    fn ring(&self) -> Result<(), RingError> {
        // The child of a fork shares the page, and has no such thread.
        if process::id() != self.process {
            return Err(RingError);
        }
        self.exit.raise();
        let errno = Errno::last_raw();
        // SAFETY: if there is no such thread the kernel says so; if the number is another thread's by now, the handler does nothing there.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, self.process, self.thread, self.signal) } == 0;
        // In a signal's handler it is not ours.
        Errno::set_raw(errno);
        if sent { Ok(()) } else { Err(RingError) }
    }

    fn acknowledge(&self) {
        self.exit.lower();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::tests::page;
    use smpcall_host::Signal;
    use std::os::fd::AsFd;
    use std::thread;

    fn kick() -> Kick {
        let file = page();
        // SAFETY: the page is there, and stays as long as it is.
        unsafe { Kick::new(file.as_fd(), Signal::real_time(5).unwrap()) }
            .unwrap_or_else(|_| panic!("it can be had"))
    }

    #[test]
    fn a_ring_raises_the_flag_and_its_acknowledgement_lowers_it() {
        let kick = kick();
        assert!(!kick.exit.is_raised());
        assert_eq!([(); 2].map(|()| kick.ring()), [Ok(()); 2]);
        assert!(kick.exit.is_raised());
        kick.acknowledge();
        assert!(!kick.exit.is_raised());
    }

    #[test]
    fn a_ring_of_a_thread_that_has_ended_fails() {
        let kick = thread::spawn(kick).join().unwrap();
        // The kernel takes the number back a moment after the thread was joined.
        while kick.ring().is_ok() {
            thread::yield_now();
        }
        assert_eq!(kick.ring(), Err(RingError));
    }

    #[test]
    fn two_doorbells_share_a_signal_and_a_signal_that_is_taken_is_refused() {
        drop([kick(), kick()]);
        let file = page();
        for (signal, taken) in [(libc::SIGSEGV, false), (0, false), (1_000, false), (libc::SIGPIPE, true)] {
            // SAFETY: as above. Rust's runtime ignores SIGPIPE.
            let refused = unsafe { Kick::new(file.as_fd(), signal) };
            match refused {
                Err(KickError::Attach(AttachError::SignalTaken(number))) => {
                    assert_eq!((number, taken), (signal, true))
                }
                Err(KickError::Attach(AttachError::NoSuchSignal(number))) => {
                    assert_eq!((number, taken), (signal, false))
                }
                _ => panic!("{signal} was not refused"),
            }
        }
    }
}
