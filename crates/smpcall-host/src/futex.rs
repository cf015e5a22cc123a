//! The kernel's futex, private to the process: what no safe interface to the system calls has.

use nix::libc::{self, FUTEX_PRIVATE_FLAG, FUTEX_WAIT, FUTEX_WAKE, SYS_futex};
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while the word has that value, for that long at most. Returns for any other reason too, a signal for one.
pub fn wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) {
    let timeout = timeout.map(|time| libc::timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: time.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word and the time are there until the call returns, and the kernel only reads them.
    unsafe { libc::syscall(SYS_futex, word.as_ptr(), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, timeout) };
}

/// Wakes one thread that sleeps on the word. Async-signal-safe: it cannot fail, and so leaves `errno` as it is.
pub fn wake_one(word: &AtomicU32) {
    wake(word, 1);
}

/// Wakes all threads that sleep on the word. Async-signal-safe, as [`wake_one`].
pub fn wake_all(word: &AtomicU32) {
    wake(word, libc::c_int::MAX);
}

fn wake(word: &AtomicU32, threads: libc::c_int) {
    // SAFETY: the word is there, and the kernel does not write it.
    unsafe { libc::syscall(SYS_futex, word.as_ptr(), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, threads) };
}
