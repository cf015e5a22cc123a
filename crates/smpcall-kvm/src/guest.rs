//! What a vCPU's thread runs.

use kvm_ioctls::{VcpuExit, VcpuFd};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Something that runs until it exits by itself or is kicked: KVM's vCPU, a monitor's own type around one, or what stands for one in a test.
///
/// # Safety
///
/// 1. The file of [`Self::page`] begins with a `kvm_run` page, may be mapped for as long as anybody likes, and never gets shorter.
/// 2. It is the same file each time.
///
/// ```
/// use nix::{libc, sys::memfd::{MFdFlags, memfd_create}};
/// use smpcall_host::{Machine, Signal};
/// use smpcall_kvm::{Guest, Ran, Vcpu, pause_here, resume_here};
/// use std::os::{fd::{AsFd, BorrowedFd}, unix::fs::FileExt};
/// use std::{fs::File, io, time::Duration};
///
/// /// Stands for a vCPU: it exits as often as it is run, and says how often.
/// struct Counts { page: File, exits: u32 }
///
/// // SAFETY: the file has a page from the beginning, and is the same each time.
/// unsafe impl Guest for Counts {
///     type Exit<'a> = u32;
///     fn page(&self) -> BorrowedFd<'_> { self.page.as_fd() }
///     fn run(&mut self) -> io::Result<u32> {
///         let mut immediate_exit = [0];
///         self.page.read_exact_at(&mut immediate_exit, 1)?; // the second byte of a `kvm_run`
///         if immediate_exit != [0] { return Err(io::Error::from_raw_os_error(libc::EINTR)) }
///         self.exits += 1;
///         Ok(self.exits)
///     }
///     fn is_half_done(_exit: &u32) -> bool { false } // a vCPU's read of a port would be
/// }
///
/// let page = File::from(memfd_create(c"kvm_run", MFdFlags::MFD_CLOEXEC)?);
/// page.set_len(4096)?;
/// let machine = Machine::builder().attachable(1).build()?;
/// let signal = Signal::real_time(0).expect("there are some");
/// let mut vcpu = Vcpu::attach(&machine, 0, Counts { page, exits: 0 }, signal).map_err(|(why, _)| why)?;
/// assert_eq!(vcpu.run(|exits| exits)?, Ran::Exit(1));
///
/// machine.post_detached(vcpu.cpu(), || pause_here().expect("this thread is a vCPU"))?;
/// assert_eq!(vcpu.poll()?, 1); // it is paused, and does not enter the guest
/// machine.post_detached(0, || resume_here().expect("it is paused"))?;
/// assert_eq!(vcpu.park(Some(Duration::ZERO))?, 1);
/// assert_eq!(vcpu.run(|exits| exits)?, Ran::Exit(2));
///
/// assert_eq!(vcpu.with(|guest| guest.exits), 2);
/// assert_eq!(vcpu.into_guest().exits, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub unsafe trait Guest: 'static {
    /// Why a run ended by itself; it may borrow what the next run is to find answered.
    type Exit<'a>
    where
        Self: 'a;

    /// Returns the file with the `kvm_run` page, whose byte `immediate_exit` is written by other threads.
    fn page(&self) -> BorrowedFd<'_>;

    /// Finishes what the last exit has left half done, and then runs until the next exit.
    ///
    /// It returns without running if the byte `immediate_exit` of its page is not 0 by then, and as soon as a signal interrupts its thread.
    ///
    /// Context: the vCPU's thread.
    ///
    /// # Errors
    ///
    /// `EINTR` if it was kicked or interrupted, `EAGAIN` if it is to be tried again; others are [handed on](crate::RunError::Guest).
    fn run(&mut self) -> io::Result<Self::Exit<'_>>;

    /// Says whether that exit leaves an operation half done, which only the next run finishes: until then the registers are neither
    /// those before it nor those after. In doubt it does.
    fn is_half_done(exit: &Self::Exit<'_>) -> bool;
}

// SAFETY: 1. A vCPU's file is what `VcpuFd` itself maps for its `kvm_run`; it has no length to lose. 2. A `VcpuFd` has one file.
unsafe impl Guest for VcpuFd {
    type Exit<'a> = VcpuExit<'a>;

    fn page(&self) -> BorrowedFd<'_> {
        // SAFETY: `self` owns it, and is borrowed for as long.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }

    fn run(&mut self) -> io::Result<VcpuExit<'_>> {
        Self::run(self).map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    /// Of all exits, those that KVM's documents name as done with are.
    fn is_half_done(exit: &VcpuExit<'_>) -> bool {
        !matches!(exit, VcpuExit::Hlt | VcpuExit::Intr | VcpuExit::IrqWindowOpen | VcpuExit::Shutdown)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs::File;

    /// A file that stands for a vCPU's.
    pub(crate) fn page() -> File {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        let file = File::from(memfd_create(c"kvm_run", MFdFlags::MFD_CLOEXEC).expect("few files are open"));
        file.set_len(4096).expect("there is memory");
        file
    }
}
