//! What others ask of vCPUs.

use crate::error::VcpuError;
use crate::guest::Guest;
use crate::here;
use smpcall_host::smpcall::{ManyError, To};
use smpcall_host::{Machine, Trace};
use std::sync::atomic::{AtomicU32, Ordering};

/// Calls to the vCPUs of a machine. Every other call, post and multicast of the machine's gets a vCPU out of its guest as well.
///
/// ```no_run
/// use kvm_ioctls::VcpuFd;
/// use smpcall_host::smpcall::To;
/// use smpcall_kvm::Vcpus;
///
/// # fn example(machine: &smpcall_host::Machine) -> Result<(), Box<dyn std::error::Error>> {
/// machine.pause_vcpu(0)?; // it is out of the guest
/// let state = machine.call_vcpu(0, |vcpu: &mut VcpuFd| vcpu.get_mp_state())??;
/// machine.resume_vcpu(0)?;
/// # let _ = state;
///
/// let paused = machine.pause_vcpus(To::All)?; // for a snapshot of all
/// assert_eq!(machine.resume_vcpus(To::All)?, paused);
/// # Ok(())
/// # }
/// ```
///
/// Context: thread, outside call context. Progress: waits for the vCPU's thread, which a kick gets out of its guest; there is no
/// time-out, and nothing is sent twice. One that does not answer is named by the machine's reports
/// ([`Builder::on_call_stall`](smpcall_host::Builder::on_call_stall)).
pub trait Vcpus {
    /// Runs `function` on the vCPU's thread, out of the guest and with no operation of it half done, and returns its result. It may borrow,
    /// and may block: it is one of [`call_blocking`](smpcall_host::smpcall::Smp::call_blocking), and so waits while the handler of an exit waits
    /// in a plain call, instead of coming in between.
    ///
    /// # Errors
    ///
    /// [`VcpuError`]; the function was not called. [`GuestError::InExit`](crate::GuestError::InExit) if the handler of an exit itself
    /// is in such a call: two that reach for each other's guests in there would wait for ever.
    fn call_vcpu<G: Guest, R: Send>(
        &self,
        cpu: u32,
        function: impl FnOnce(&mut G) -> R + Send,
    ) -> Result<R, VcpuError>;

    /// Pauses a vCPU: when this returns it is out of the guest, and does not enter it until it was resumed as often. What was posted to
    /// it goes on to run; so do calls.
    ///
    /// If the handler of an exit was waiting for somebody, it has still to end, and what the guest left for to be finished; a
    /// [`call_vcpu`](Self::call_vcpu) after this waits for that.
    ///
    /// # Errors
    ///
    /// [`VcpuError`].
    fn pause_vcpu(&self, cpu: u32) -> Result<(), VcpuError>;

    /// Takes back one [`pause_vcpu`](Self::pause_vcpu).
    ///
    /// # Errors
    ///
    /// [`VcpuError`]; [`GuestError::NotPaused`](crate::GuestError::NotPaused) if there was none.
    fn resume_vcpu(&self, cpu: u32) -> Result<(), VcpuError>;

    /// Pauses all those vCPUs, each as [`pause_vcpu`](Self::pause_vcpu) does, and returns how many there were. They are kicked together.
    ///
    /// # Errors
    ///
    /// [`ManyError`]: none was paused.
    fn pause_vcpus(&self, which: To<'_>) -> Result<u32, ManyError>;

    /// Takes back one pause of each of those vCPUs, and returns how many were paused.
    ///
    /// # Errors
    ///
    /// [`ManyError`]: none was resumed.
    fn resume_vcpus(&self, which: To<'_>) -> Result<u32, ManyError>;
}

impl<T: Trace> Vcpus for Machine<T> {
    fn call_vcpu<G: Guest, R: Send>(
        &self,
        cpu: u32,
        function: impl FnOnce(&mut G) -> R + Send,
    ) -> Result<R, VcpuError> {
        Ok(self.call_blocking(cpu, || here::with_guest(function))??)
    }

    fn pause_vcpu(&self, cpu: u32) -> Result<(), VcpuError> {
        Ok(self.call(cpu, here::pause_here)??)
    }

    fn resume_vcpu(&self, cpu: u32) -> Result<(), VcpuError> {
        Ok(self.call(cpu, here::resume_here)??)
    }

    fn pause_vcpus(&self, which: To<'_>) -> Result<u32, ManyError> {
        count(self, which, || here::pause_here().is_ok())
    }

    fn resume_vcpus(&self, which: To<'_>) -> Result<u32, ManyError> {
        count(self, which, || here::resume_here().is_ok())
    }
}

/// On how many of them it was so.
fn count<T: Trace>(
    machine: &Machine<T>,
    which: To<'_>,
    is: impl Fn() -> bool + Sync,
) -> Result<u32, ManyError> {
    let counted = AtomicU32::new(0);
    machine.call_many(which, || {
        if is() {
            // Relaxed: the multicast's end makes it visible.
            counted.fetch_add(1, Ordering::Relaxed);
        }
    })?;
    Ok(counted.into_inner())
}
