//! What each CPU has of its own, found through its GS register: its number, its descriptor tables, its special stacks.

use crate::cpus::CPUS_MAX;
use core::arch::asm;
use core::cell::UnsafeCell;
use core::mem::{MaybeUninit, offset_of};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use smpcall_bare::arch::HardwareId;
use x86_64::VirtAddr;
use x86_64::instructions::tables::load_tss;
use x86_64::registers::model_specific::GsBase;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

/// The stack of NMIs, which may come at any moment, and that of double faults, when no other stack may be any good.
const SPECIAL_STACK_BYTES: usize = 16 * 1024;

/// The places of these stacks in a vector's entry: 0 there is the stack in use, so that IST1 is the first.
pub(super) const NMI_IST: u8 = 1;
pub(super) const DOUBLE_FAULT_IST: u8 = 2;

/// Stacks by number.
#[repr(align(4096))]
pub(super) struct Stacks<const BYTES: usize>(UnsafeCell<[[u8; BYTES]; CPUS_MAX]>);

// SAFETY: each is used by one CPU, the one that has its number.
unsafe impl<const BYTES: usize> Sync for Stacks<BYTES> {}

impl<const BYTES: usize> Stacks<BYTES> {
    pub(super) const fn new() -> Self {
        Self(UnsafeCell::new([[0; BYTES]; CPUS_MAX]))
    }

    fn top(&self, cpu: u32) -> VirtAddr {
        VirtAddr::new(self.0.get() as u64 + (u64::from(cpu) + 1) * BYTES as u64)
    }
}

static NMI_STACKS: Stacks<SPECIAL_STACK_BYTES> = Stacks::new();
static FAULT_STACKS: Stacks<SPECIAL_STACK_BYTES> = Stacks::new();

struct Tables {
    gdt: GlobalDescriptorTable,
    tss: TaskStateSegment,
}

#[repr(C, align(128))]
struct Block {
    /// The CPU's number plus one, 0 in the block of nobody. First, since `current_cpu` loads it.
    number: AtomicU32,
    /// Set by `halt_for_good`, with its last write.
    stopped: AtomicU32,
    id: AtomicU64,
    tables: UnsafeCell<MaybeUninit<Tables>>,
}

// SAFETY: the tables are used by the one CPU that has the number; everything else is atomic.
unsafe impl Sync for Block {}

const _: () = assert!(offset_of!(Block, number) == 0);

impl Block {
    const fn new() -> Self {
        Self {
            number: AtomicU32::new(0),
            stopped: AtomicU32::new(0),
            id: AtomicU64::new(0),
            tables: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

static BLOCKS: [Block; CPUS_MAX] = [const { Block::new() }; CPUS_MAX];
/// Whoever has not entered yet.
static NOBODY: Block = Block::new();

fn load(block: &'static Block) {
    GsBase::write(VirtAddr::from_ptr(block));
}

/// This CPU has no number. Before anything asks for it.
pub(super) fn enter_nobody() {
    load(&NOBODY);
}

/// This CPU is `cpu` from now on, and can take NMIs.
pub(super) fn enter(cpu: u32, id: HardwareId) {
    let block = &BLOCKS[cpu as usize];
    let mut tss = TaskStateSegment::new();
    tss.interrupt_stack_table[usize::from(NMI_IST) - 1] = NMI_STACKS.top(cpu);
    tss.interrupt_stack_table[usize::from(DOUBLE_FAULT_IST) - 1] = FAULT_STACKS.top(cpu);
    // SAFETY: this CPU alone uses these tables, and not yet: until below one that starts again runs on those of boot.s.
    let place: &'static mut MaybeUninit<Tables> = unsafe { &mut *block.tables.get() };
    let Tables { gdt, tss } = place.write(Tables { gdt: GlobalDescriptorTable::new(), tss });
    // The same selectors as in boot.s, which are loaded.
    gdt.append(Descriptor::kernel_code_segment());
    gdt.append(Descriptor::kernel_data_segment());
    let selector = gdt.append(Descriptor::tss_segment(tss));
    gdt.load();
    // SAFETY: the table that was just loaded has it; it is new, and so not busy.
    unsafe { load_tss(selector) };
    // Relaxed: for this CPU, and for `is_stopped` after `cpus::UP` was seen.
    block.id.store(id, Ordering::Relaxed);
    block.number.store(cpu + 1, Ordering::Relaxed);
    load(block);
}

#[inline(always)]
pub(super) fn current_cpu() -> Option<u32> {
    let number: u32;
    // SAFETY: `GS` has been a block's since the first instructions; its number is at the beginning.
    unsafe { asm!("mov {:e}, gs:[0]", out(reg) number, options(readonly, nostack, preserves_flags)) };
    number.checked_sub(1)
}

/// What `halt_for_good` is to set for this CPU.
pub(super) fn stopped_flag(cpu: u32) -> *mut u32 {
    BLOCKS[cpu as usize].stopped.as_ptr()
}

/// The CPU is about to be started.
pub(super) fn forget_stop(cpu: u32) {
    // Relaxed: it is not running.
    BLOCKS[cpu as usize].stopped.store(0, Ordering::Relaxed);
}

/// Returns whether the CPU with that id has done its last write.
pub(super) fn is_stopped(id: HardwareId) -> bool {
    BLOCKS.iter().any(|block| {
        // Relaxed: see `enter`. Acquire: sees all that the CPU wrote; pairs with `halt_for_good`, a store like any other.
        block.number.load(Ordering::Relaxed) != 0
            && block.id.load(Ordering::Relaxed) == id
            && block.stopped.load(Ordering::Acquire) != 0
    })
}
