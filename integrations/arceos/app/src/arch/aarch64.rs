//! VMSAv8-64 with pages of 4 KiB (*Arm ARM*, DDI 0487, D8.3) and B2.4.4 on instructions that are written.

use core::arch::asm;

pub(crate) const LEVELS: usize = 4;
/// Where what TTBR1_EL1 translates begins.
pub(crate) const BASE: usize = 0xffff_0000_0000_0000;

pub(crate) fn table_entry(address: u64) -> u64 {
    address | 0b11
}

/// The table that an entry leads to, of a level that is not the last.
pub(crate) fn table_of(entry: u64) -> Option<u64> {
    (entry & 0b11 == 0b11).then_some(entry & 0x0000_ffff_ffff_f000)
}

/// A page of normal memory (ArceOS' attribute 1), inner shareable, accessed, not executable.
pub(crate) fn page_entry(address: u64) -> u64 {
    address | 0b11 | 1 << 2 | 0b11 << 8 | 1 << 10 | 0b11 << 53
}

/// The same, but executable, and not written through this address.
pub(crate) fn code_entry(address: u64) -> u64 {
    address | 0b11 | 1 << 2 | 0b11 << 8 | 1 << 10 | 1 << 54 | 1 << 7
}

/// The walk sees them before the translations are thrown out.
pub(crate) fn tables_were_written() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ishst", options(nostack)) };
}

/// `ret`.
pub(crate) const RETURN: u32 = 0xd65f_03c0;

/// `movz w0, #value`.
pub(crate) fn load_result(value: u8) -> u32 {
    0x5280_0000 | u32::from(value) << 5
}

/// Writes the line out to where all CPUs' fetches find it, and throws it out of their instruction caches.
pub(crate) fn publish_code(word: *const u32) {
    // SAFETY: maintains caches, of a line that is ours.
    unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", in(reg) word, options(nostack)) };
}

/// This CPU fetches anew what was written before.
pub(crate) fn refetch() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack)) };
}
