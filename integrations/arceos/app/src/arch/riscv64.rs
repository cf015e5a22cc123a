//! Sv39 (*Privileged Architecture* 20211203, 4.4) and FENCE.I (*Unprivileged* 20191213, chapter 3).

use core::arch::asm;

pub(crate) const LEVELS: usize = 3;
/// The lower half, which has no process here.
pub(crate) const BASE: usize = 0;

pub(crate) fn table_entry(address: u64) -> u64 {
    address >> 12 << 10 | 1
}

/// The table that an entry leads to: it is valid, and neither readable, writable, nor executable.
pub(crate) fn table_of(entry: u64) -> Option<u64> {
    (entry & 0b1111 == 1).then_some(entry >> 10 << 12)
}

/// Valid, readable, writable, accessed, dirty.
pub(crate) fn page_entry(address: u64) -> u64 {
    address >> 12 << 10 | 0xc7
}

/// Valid, readable, executable, accessed.
pub(crate) fn code_entry(address: u64) -> u64 {
    address >> 12 << 10 | 0x4b
}

/// SFENCE.VMA, which each CPU does, orders them.
pub(crate) fn tables_were_written() {}

/// `ret`.
pub(crate) const RETURN: u32 = 0x0000_8067;

/// `li a0, value`.
pub(crate) fn load_result(value: u8) -> u32 {
    u32::from(value) << 20 | 0x0513
}

/// FENCE.I, which each CPU does, orders them.
pub(crate) fn publish_code(_word: *const u32) {}

/// This CPU fetches anew what was written before.
pub(crate) fn refetch() {
    // SAFETY: a fence.
    unsafe { asm!("fence.i", options(nostack)) };
}
