//! `immediate_exit`, the byte of a vCPU's `kvm_run` page that ends its next `KVM_RUN` before it enters the guest.
//!
//! # Invariants
//!
//! - **I90** The byte is reached by a mapping of this module's own, and there by atomics only. The file's other mappings, those of
//!   the kernel and of `VcpuFd`, have other addresses: no reference of theirs covers this one, and it is there until the drop,
//!   also if the `VcpuFd` is gone.

use kvm_bindings::kvm_run;
use nix::libc;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, Ordering, fence};

/// Where it is in the page.
const AT: usize = offset_of!(kvm_run, immediate_exit);
/// As much as is asked for; the kernel maps whole pages.
const LEN: usize = AT + 1;

/// The byte, in a mapping of its own.
#[derive(Debug)]
pub(crate) struct ExitFlag(NonNull<u8>);

// SAFETY: by I90 any thread may touch it, by atomics.
unsafe impl Send for ExitFlag {}
// SAFETY: as above.
unsafe impl Sync for ExitFlag {}

impl ExitFlag {
    /// Maps it.
    ///
    /// # Safety
    ///
    /// The file begins with a `kvm_run` page, or one that stands for it, and never gets shorter.
    pub(crate) unsafe fn map(file: BorrowedFd<'_>) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let page =
            unsafe { libc::mmap(ptr::null_mut(), LEN, protection, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(page.cast()).map(Self).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    fn byte(&self) -> &AtomicU8 {
        // SAFETY: by I90 it is mapped as long as `self` is there, and touched by atomics only; the file is long enough.
        unsafe { AtomicU8::from_ptr(self.0.as_ptr().add(AT)) }
    }

    /// The run that is under way, if the signal that follows finds one, or else the next ends before it enters the guest.
    pub(crate) fn raise(&self) {
        // Acquire: after the thread's last lowering, which would else undo it: who finds the latch outside sees all that came before; pairs
        // with `lower`. (On x86-64 the latch's exchange is enough, and this is nothing.)
        fence(Ordering::Acquire);
        // Relaxed: the signal that follows carries it: the kernel sends and delivers that under one lock, and a run that begins after
        // its delivery, or after it was found pending, reads the byte after that.
        self.byte().store(1, Ordering::Relaxed);
    }

    /// Its thread: runs enter the guest again.
    pub(crate) fn lower(&self) {
        // Relaxed: read by this thread's own runs. A ring of the sleep that is over may come after it, and ends one run in vain.
        self.byte().store(0, Ordering::Relaxed);
        // Release: before the latch is outside again; pairs with `raise`.
        fence(Ordering::Release);
    }

    #[cfg(test)]
    pub(crate) fn is_raised(&self) -> bool {
        // Relaxed: the value itself is all that is asked for.
        self.byte().load(Ordering::Relaxed) != 0
    }
}

impl Drop for ExitFlag {
    fn drop(&mut self) {
        // SAFETY: by I90 it is ours, and nobody else knows the address.
        unsafe { libc::munmap(self.0.as_ptr().cast(), LEN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::tests::page;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    #[test]
    fn it_is_the_byte_that_kvm_reads_and_no_other_and_outlives_the_descriptor() {
        let file = page();
        // SAFETY: the page is that long, and stays.
        let flag = unsafe { ExitFlag::map(file.as_fd()) }.unwrap();
        let read = || {
            let mut bytes = [9; 16];
            file.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        assert_eq!((read(), flag.is_raised()), ([0; 16], false));
        flag.raise();
        // The interface of the kernel: request_interrupt_window, immediate_exit.
        assert_eq!((read()[..3].to_vec(), flag.is_raised()), (vec![0, 1, 0], true));
        file.write_all_at(&[0, 5], 0).unwrap();
        assert!(flag.is_raised());
        drop(file);
        flag.lower();
        assert!(!flag.is_raised());
    }

    #[test]
    fn what_cannot_be_mapped_is_an_error() {
        let (from, _to) = nix::unistd::pipe().unwrap();
        // SAFETY: it is refused.
        assert!(unsafe { ExitFlag::map(from.as_fd()) }.is_err());
    }
}
