//! The interrupt files of an IMSIC, where the machine has one: then a doorbell is a store, and no call to the firmware.
//!
//! Sources: *The RISC-V Advanced Interrupt Architecture* 1.0, 2.1 (siselect, sireg, stopei), 3.6 (where files are), 3.8 (eidelivery,
//! eithreshold, eie); the binding of `riscv,imsics` in Linux's device trees.

use crate::machine::{QUIET, SMP};
use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};
use fdt::Fdt;
use fdt::node::FdtNode;
use riscv::register::sie;
use smpcall_bare::arch::IDENTITY;

/// The number of a supervisor's external interrupt: an IMSIC whose files interrupt by it is the supervisors'.
const SUPERVISOR_EXTERNAL: u32 = 9;
/// A file is a page.
const FILE_SHIFT: u32 = 12;

/// siselect of a file's registers.
const EIDELIVERY: usize = 0x70;
const EITHRESHOLD: usize = 0x72;
const EIE_0: usize = 0xc0;

static IS_USED: AtomicBool = AtomicBool::new(false);

pub(super) fn is_used() -> bool {
    // Relaxed: see `boot`.
    IS_USED.load(Ordering::Relaxed)
}

fn word(node: &FdtNode<'_, '_>, name: &str) -> Option<u32> {
    node.property(name)?.as_usize().map(|value| value as u32)
}

/// For each file, by its place: what it interrupts, and by which number.
fn interrupts(node: &FdtNode<'_, '_>) -> Option<impl Iterator<Item = u32>> {
    let cells = node.property("interrupts-extended")?.value.chunks_exact(8);
    Some(cells.map(|pair| u32::from_be_bytes([pair[4], pair[5], pair[6], pair[7]])))
}

/// Looks for the supervisors' IMSIC, and has the doorbells use it. On the boot hart, once. It is for machines whose harts are numbered from
/// 0 without a gap, in one group, as QEMU's is with one socket. Where there are more, files of the next group begin elsewhere: there the
/// firmware is asked.
pub(super) fn boot(tree: &Fdt<'_>) {
    let is_one = |node: &FdtNode<'_, '_>| {
        let is_imsic = node.compatible().is_some_and(|names| names.all().any(|name| name == "riscv,imsics"));
        is_imsic
            && interrupts(node).is_some_and(|mut numbers| numbers.all(|number| number == SUPERVISOR_EXTERNAL))
    };
    let Some(node) = tree.all_nodes().find(is_one) else { return };
    let files = interrupts(&node).map_or(0, Iterator::count);
    let is_in_order = tree.cpus().all(|cpu| cpu.ids().first() < files);
    let Some(mut regions) = node.reg().filter(|_| is_in_order) else { return };
    let (Some(region), None) = (regions.next(), regions.next()) else { return };
    let shift = FILE_SHIFT + word(&node, "riscv,guest-index-bits").unwrap_or(0);
    for doorbell in [SMP.platform().doorbell(), QUIET.platform().doorbell()] {
        // SAFETY: the files of all harts, mapped one to one; nobody else uses them.
        unsafe { doorbell.use_imsic(region.starting_address.cast_mut().cast(), shift) };
    }
    // Relaxed: the other harts start later, and a start synchronises.
    IS_USED.store(true, Ordering::Relaxed);
}

/// This hart's file delivers the doorbell, and nothing else. Also when it starts again.
pub(super) fn enter() {
    if !is_used() {
        return;
    }
    for (register, value) in [(EITHRESHOLD, 0), (EIE_0, 1_usize << IDENTITY), (EIDELIVERY, 1)] {
        // SAFETY: this hart's file: siselect and sireg, by their numbers. Interrupts are off.
        unsafe {
            asm!("csrw 0x150, {}", "csrw 0x151, {}", in(reg) register, in(reg) value, options(nostack))
        };
    }
    // SAFETY: external interrupts have a handler.
    unsafe { sie::set_sext() };
}

/// Whether that is what came: stopei names the first that is pending.
pub(super) fn is_doorbell() -> bool {
    let first: usize;
    // SAFETY: reads a register, stopei, by its number.
    unsafe { asm!("csrr {}, 0x15c", out(reg) first, options(nostack)) };
    // None: it was answered by another handler's turn.
    is_used() && (first == 0 || first >> 16 == IDENTITY as usize)
}
