//! Four-level paging (Intel SDM 3A, 4.5) and code that other CPUs run while it is changed (9.1.3).

use core::arch::x86_64::__cpuid;

pub(crate) const LEVELS: usize = 4;
/// The lower half, which has no process here.
pub(crate) const BASE: usize = 0;

/// Present, writable.
pub(crate) fn table_entry(address: u64) -> u64 {
    address | 0b11
}

/// The table that an entry leads to: it is present, and no large page.
pub(crate) fn table_of(entry: u64) -> Option<u64> {
    (entry & 0x81 == 1).then_some(entry & 0x000f_ffff_ffff_f000)
}

/// Present, writable.
pub(crate) fn page_entry(address: u64) -> u64 {
    address | 0b11
}

/// Present; not writable, and executable as every page whose highest bit is clear.
pub(crate) fn code_entry(address: u64) -> u64 {
    address | 0b01
}

/// The walk sees what was stored before.
pub(crate) fn tables_were_written() {}

/// The last byte of MOV's number, `ret`, and two `nop`.
pub(crate) const RETURN: u32 = 0x9090_c300;

/// `mov eax, value`, but for the last byte of the number.
pub(crate) fn load_result(value: u8) -> u32 {
    0xb8 | u32::from(value) << 8
}

/// Caches are coherent.
pub(crate) fn publish_code(_word: *const u32) {}

/// This CPU fetches anew what was written before: CPUID serialises.
pub(crate) fn refetch() {
    let _ = __cpuid(0);
}
