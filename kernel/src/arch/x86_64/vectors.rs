//! The interrupt descriptor table, and where its entries lead.

use super::{apic, block};
use crate::traps;
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::registers::control::Cr2;
use x86_64::structures::DescriptorTablePointer;

global_asm!(include_str!("vectors.s"), trap = sym trap, options(att_syntax));

unsafe extern "C" {
    fn vector_entries();
    pub(super) fn probe_read(at: *const u64, value: *mut u64) -> usize;
    fn probe_load();
    fn probe_fault();
}

/// The vectors of interrupts. The upper four bits of one are its priority.
pub(super) const ALARM: u8 = 0x40;
pub(super) const OWN: u8 = 0x50;
pub(super) const DOORBELL: u8 = 0x60;
pub(super) const SPURIOUS: u8 = 0xff;

const NMI: u8 = 2;
const DOUBLE_FAULT: u8 = 8;
const PAGE_FAULT: u8 = 14;

/// SDM volume 3A, table 6-1.
const EXCEPTIONS: [&str; 32] = [
    "divide error",
    "debug exception",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack-segment fault",
    "general protection",
    "page fault",
    "reserved exception",
    "x87 floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point exception",
    "virtualization exception",
    "control protection exception",
    "reserved exception",
    "reserved exception",
    "reserved exception",
    "reserved exception",
    "reserved exception",
    "reserved exception",
    "hypervisor injection exception",
    "VMM communication exception",
    "security exception",
    "reserved exception",
];

const VECTORS: usize = 256;
/// How far apart the entries in `vectors.s` are.
const ENTRY_BYTES: u64 = 16;
/// The code segment of `boot.s`.
const CODE: u64 = 0x08;
/// A gate's P, and the type "interrupt gate": it switches interrupts off.
const PRESENT_INTERRUPT_GATE: u64 = 0x8e;

/// Two words for each vector (SDM volume 3A, figure 6-8). All CPUs use the same.
#[repr(align(16))]
struct Table([[AtomicU64; 2]; VECTORS]);

static TABLE: Table = Table([const { [const { AtomicU64::new(0) }; 2] }; VECTORS]);

/// Fills the table. On the boot CPU.
pub(super) fn fill() {
    for (vector, gate) in (0..).zip(&TABLE.0) {
        let entry = vector_entries as *const () as u64 + u64::from(vector) * ENTRY_BYTES;
        let stack = match vector {
            NMI => block::NMI_IST,
            DOUBLE_FAULT => block::DOUBLE_FAULT_IST,
            _ => 0,
        };
        let low = (entry & 0xffff)
            | CODE << 16
            | u64::from(stack) << 32
            | PRESENT_INTERRUPT_GATE << 40
            | (entry >> 16 & 0xffff) << 48;
        // Relaxed: this CPU loads the table next, and the others start later.
        gate[0].store(low, Ordering::Relaxed);
        gate[1].store(entry >> 32, Ordering::Relaxed);
    }
}

/// From here on this CPU's exceptions are told. Its NMIs and double faults need the stacks that [`block::enter`] gives.
pub(super) fn load() {
    let table =
        DescriptorTablePointer { limit: (size_of::<Table>() - 1) as u16, base: VirtAddr::from_ptr(&TABLE) };
    // SAFETY: filled, and for ever.
    unsafe { lidt(&table) };
}

/// What is on the stack when `trap` is called.
#[repr(C)]
struct Frame {
    saved: [u64; 9],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    flags: u64,
    rsp: u64,
    ss: u64,
}

/// Comes from `vector_common` with interrupts off.
extern "C" fn trap(frame: &mut Frame) {
    match frame.vector as u8 {
        DOORBELL => traps::doorbell(),
        ALARM => {
            apic::acknowledge();
            traps::alarm();
        }
        OWN => {
            apic::acknowledge();
            traps::own_interrupt();
        }
        NMI => traps::own_nmi(),
        // The APIC does not count on an acknowledgement of it (SDM volume 3A, 11.9).
        SPURIOUS => {}
        PAGE_FAULT if frame.rip == probe_load as *const () as u64 => {
            frame.rip = probe_fault as *const () as u64
        }
        vector => unexpected(vector, frame),
    }
}

fn unexpected(vector: u8, frame: &Frame) -> ! {
    let name = EXCEPTIONS.get(usize::from(vector)).copied().unwrap_or("an interrupt that nobody asked for");
    let &Frame { error, rip, rsp, .. } = frame;
    let cr2 = Cr2::read_raw();
    traps::unexpected(format_args!(
        "{name}: vector {vector}, error code {error:#x}, rip {rip:#x}, rsp {rsp:#x}, cr2 {cr2:#x}"
    ))
}
