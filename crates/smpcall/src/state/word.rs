//! What the bits of a csd's state word are: the table is in the module above.

pub(super) const LOCK: u32 = 0x01;
pub(super) const LAZY: u32 = 0x04;
/// Of a csd that is `LAZY`, and not yet `LINKED`.
pub(super) const DEFERRED: u32 = 0x08;
pub(super) const KIND: u32 = 0xf0;
pub(super) const CPU_SHIFT: u32 = 8;
pub(super) const CPU: u32 = 0xffff << CPU_SHIFT;
pub(super) const COALESCED: u32 = 1 << 24;
pub(super) const CANCELLED: u32 = 1 << 25;
pub(super) const PARKED: u32 = 1 << 26;
/// Of a blocking call, which nobody cancels.
pub(super) const DEQUEUED: u32 = CANCELLED;
/// Of an asynchronous csd, for which nobody parks.
pub(super) const LINKED: u32 = PARKED;
pub(super) const RUNS_SHIFT: u32 = 27;
pub(super) const RUNS: u32 = 0x1f << RUNS_SHIFT;

/// What kind of call a csd carries. The values are Linux's, so that its other kinds can share a queue later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Unlocked before its function starts (P5).
    Async = 0x00,
    /// Somebody waits: completed after its function has returned (P4).
    Sync = 0x10,
    /// In a slot of its target's, which is free again when the function was copied out of it, before it starts (P5).
    Detached = 0x40,
    /// Somebody waits, and its function runs in the target's thread, outside call context.
    Blocking = 0x50,
    /// As `Async`, of another language: the port runs it.
    Foreign = 0x60,
    /// No function: whoever is named is woken ([`crate::wake`]).
    Wake = 0x70,
}

pub(super) fn locked(kind: Kind, cpu: u32) -> u32 {
    LOCK | kind as u32 | (cpu + 1) << CPU_SHIFT
}

/// Free again after one more run than `s` says.
#[inline(always)]
pub(super) fn unlocked(cpu: u32, s: u32) -> u32 {
    (cpu + 1) << CPU_SHIFT | (s & RUNS).wrapping_add(1 << RUNS_SHIFT)
}

/// A call that somebody waits for names its waiter where others name their target, which nobody asks it for.
pub(super) fn waiting(waiter: u16, kind: Kind) -> u32 {
    LOCK | kind as u32 | u32::from(waiter) << CPU_SHIFT
}

/// The word without CPU and runs.
#[cfg(smpcall_sim)]
pub fn state(word: usize) -> u16 {
    (word & 0xff | (word >> 24 & 7) << 8) as u16
}

/// Such a word in words: its kind, and the names of its bits.
#[cfg(smpcall_sim)]
pub fn state_names(class: u16) -> impl Iterator<Item = &'static str> {
    let word = u32::from(class & 0xff) | u32::from(class >> 8) << 24;
    let kind = match word & (LOCK | KIND) {
        0x00 => "free",
        0x01 => "async",
        0x11 => "sync",
        0x41 => "detached",
        0x51 => "blocking",
        0x61 => "foreign",
        0x71 => "wake",
        _ => "no kind",
    };
    let waits = matches!(word & KIND, 0x10 | 0x50);
    let bits = [
        (LAZY, "LAZY"),
        (DEFERRED, "DEFERRED"),
        (COALESCED, "COALESCED"),
        (CANCELLED, if waits { "DEQUEUED" } else { "CANCELLED" }),
        (PARKED, if waits { "PARKED" } else { "LINKED" }),
    ];
    let names = bits.into_iter().filter(move |(bit, _)| word & bit != 0).map(|(_, name)| name);
    core::iter::once(kind).chain(names)
}
