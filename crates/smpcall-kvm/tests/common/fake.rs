//! A guest without KVM: a page of shared memory, and a run that blocks until the page's `immediate_exit` or a signal ends it, as
//! KVM's does: the byte is read with the signal held back, and the signal ends the sleep that follows if it came meanwhile.

use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use smpcall_host::Signal;
use smpcall_kvm::Guest;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the interface of the kernel has `immediate_exit`.
const IMMEDIATE_EXIT: u64 = 1;

/// The signal of these tests.
pub(crate) fn signal() -> i32 {
    Signal::real_time(3).expect("there are more")
}

/// Why it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself; half done until the next run, which finishes it.
    Io(u32),
    /// By itself, with nothing half done.
    Halted,
    /// It slept for as long as it may, and nobody ended that.
    Slept,
}

/// What it does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Exit(Exit),
    Fail(i32),
}

pub(crate) struct Fake {
    pub(crate) page: File,
    /// What the next runs do; when it is empty, they sleep until they are kicked.
    pub(crate) next: VecDeque<Next>,
    /// Called just before each run looks at the byte.
    pub(crate) before: Box<dyn FnMut() + Send>,
    /// As a guest of which nobody raises the byte.
    pub(crate) is_blind: bool,
    pub(crate) longest: Option<Duration>,
    /// What an operation that was finished has left: the sum of all.
    pub(crate) finished: u32,
    pub(crate) half_done: Option<u32>,
    pub(crate) entries: Arc<AtomicU64>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let page = File::from(memfd_create(c"kvm_run", MFdFlags::MFD_CLOEXEC).expect("few files are open"));
        page.set_len(4096).expect("there is memory");
        Self {
            page,
            next: VecDeque::new(),
            before: Box::new(|| ()),
            is_blind: false,
            longest: None,
            finished: 0,
            half_done: None,
            entries: Arc::default(),
        }
    }

    pub(crate) fn script(next: impl IntoIterator<Item = Next>) -> Self {
        Self { next: next.into_iter().collect(), ..Self::new() }
    }

    /// How often it was entered: got past the byte.
    pub(crate) fn entries(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.entries)
    }

    pub(crate) fn is_half_done(&self) -> bool {
        self.half_done.is_some()
    }

    fn is_to_leave(&self) -> bool {
        let mut byte = [0];
        self.page.read_exact_at(&mut byte, IMMEDIATE_EXIT).expect("it is there");
        byte != [0] && !self.is_blind
    }
}

/// The signal is held back as long as it lives.
struct HeldBack(libc::sigset_t);

impl HeldBack {
    fn new() -> Self {
        // SAFETY: the sets are there, and filled before they are read.
        unsafe {
            let (mut set, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, signal());
            assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, &raw mut before), 0);
            assert_eq!(libc::sigismember(&raw const before, signal()), 0, "it is open in a vCPU's thread");
            Self(before)
        }
    }

    /// Sleeps with the signal open; whether one came.
    fn sleep(&self, longest: Option<Duration>) -> bool {
        let longest = longest.map(|time| libc::timespec {
            tv_sec: time.as_secs().try_into().expect("it is short"),
            tv_nsec: time.subsec_nanos().into(),
        });
        let limit = longest.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: no descriptors, a mask that is there, and a time or none.
        unsafe { libc::ppoll(std::ptr::null_mut(), 0, limit, &raw const self.0) == -1 }
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        // SAFETY: what was before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

fn interrupted() -> io::Result<Exit> {
    Err(io::Error::from_raw_os_error(libc::EINTR))
}

// SAFETY: the file has a page, is its own, and keeps its length.
unsafe impl Guest for Fake {
    type Exit<'a> = Exit;

    fn page(&self) -> BorrowedFd<'_> {
        self.page.as_fd()
    }

    fn run(&mut self) -> io::Result<Exit> {
        self.finished += self.half_done.take().unwrap_or(0);
        (self.before)();
        let held_back = HeldBack::new();
        if self.is_to_leave() {
            return interrupted();
        }
        // Relaxed: a count.
        self.entries.fetch_add(1, Ordering::Relaxed);
        match self.next.pop_front() {
            Some(Next::Exit(exit)) => {
                if let Exit::Io(value) = exit {
                    self.half_done = Some(value);
                }
                Ok(exit)
            }
            Some(Next::Fail(error)) => Err(io::Error::from_raw_os_error(error)),
            None if held_back.sleep(self.longest) => interrupted(),
            None => Ok(Exit::Slept),
        }
    }

    fn is_half_done(exit: &Exit) -> bool {
        matches!(exit, Exit::Io(_))
    }
}
