//! Virtual machines of one vCPU and a few instructions, in real mode.

use kvm_bindings::{kvm_regs, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use nix::libc;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// `jmp .`
pub(crate) const SPINS: &[u8] = &[0xeb, 0xfe];
/// `out %al, %dx; jmp` back: leaves again and again.
pub(crate) const LEAVES: &[u8] = &[0xee, 0xeb, 0xfd];
/// `hlt; jmp` back: without an interrupt controller of the kernel's each is an exit, with one it sleeps in `KVM_RUN`.
pub(crate) const HALTS: &[u8] = &[0xf4, 0xeb, 0xfd];
/// `inc %ebx; mov %ebx, (0x2000); jmp` back.
pub(crate) const COUNTS: &[u8] = &[0x66, 0x43, 0x66, 0x89, 0x1e, 0x00, 0x20, 0xeb, 0xf7];
/// `in (0x10), %al; inc %ebx; jmp` back.
pub(crate) const READS: &[u8] = &[0xe4, 0x10, 0x66, 0x43, 0xeb, 0xfa];

/// Where the code is, in the guest.
pub(crate) const CODE: usize = 0x1000;
/// Where [`COUNTS`] counts.
const COUNT: usize = 0x2000;
const LEN: usize = 0x3000;

/// The guest's memory.
pub(crate) struct Memory(*mut u8);

// SAFETY: it is touched by atomics only, after its guest's code was written, by whom it was made.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new(code: &[u8]) -> Self {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, at an address that the kernel chooses.
        let at = unsafe { libc::mmap(ptr::null_mut(), LEN, protection, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED, "there is memory");
        let at: *mut u8 = at.cast();
        // SAFETY: the code fits, and nobody else knows the mapping.
        unsafe { ptr::copy_nonoverlapping(code.as_ptr(), at.add(CODE), code.len()) };
        Self(at)
    }

    /// How far [`COUNTS`] has come.
    pub(crate) fn count(&self) -> u32 {
        // SAFETY: it is there, and aligned; the guest writes it whole.
        let count = unsafe { AtomicU32::from_ptr(self.0.add(COUNT).cast()) };
        // Relaxed: a number that only grows.
        count.load(Ordering::Relaxed)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it is ours; the machine whose memory it was is gone.
        unsafe { libc::munmap(self.0.cast(), LEN) };
    }
}

/// A machine with that code; its memory is there as long as it is.
pub(crate) struct Vm {
    // Before its memory: dropped first.
    _vm: VmFd,
    pub(crate) memory: Arc<Memory>,
}

impl Vm {
    pub(crate) fn new(code: &[u8]) -> (Self, VcpuFd) {
        Self::on(Kvm::new().and_then(|kvm| kvm.create_vm()).expect("there is KVM"), code)
    }

    /// Its guest halts for ever, in `KVM_RUN`: nobody interrupts it.
    #[allow(dead_code, reason = "not all that share this have one")]
    pub(crate) fn asleep() -> (Self, VcpuFd) {
        let vm = Kvm::new().and_then(|kvm| kvm.create_vm()).expect("there is KVM");
        vm.create_irq_chip().expect("the first");
        Self::on(vm, HALTS)
    }

    fn on(vm: VmFd, code: &[u8]) -> (Self, VcpuFd) {
        let memory = Arc::new(Memory::new(code));
        let region = kvm_userspace_memory_region {
            memory_size: LEN as u64,
            userspace_addr: memory.0 as u64,
            ..Default::default()
        };
        // SAFETY: the memory is there as long as the machine.
        unsafe { vm.set_user_memory_region(region) }.expect("the first");
        let vcpu = vm.create_vcpu(0).expect("the first");
        let mut special = vcpu.get_sregs().expect("it has them");
        (special.cs.base, special.cs.selector) = (0, 0);
        vcpu.set_sregs(&special).expect("they are right");
        let registers = kvm_regs { rip: CODE as u64, rflags: 2, rdx: 0x10, ..Default::default() };
        vcpu.set_regs(&registers).expect("they are right");
        (Self { _vm: vm, memory }, vcpu)
    }
}
