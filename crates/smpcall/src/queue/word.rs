//! What the head word holds: a list and its bits, or a mark.

use crate::csd::Header;
use core::ptr::without_provenance_mut;

/// The bit of a list that says that somebody multicasts; alone, or with `OWED`, it is a list without a header.
const CALLED: usize = 4;
/// The bit of a list in which there is a call that somebody waits for. Looked at before the list is taken, when its headers
/// cannot be: nothing has made them visible yet.
const AWAITED: usize = 2;
/// The bit of a list whose doorbell failed.
const OWED: usize = 1;
/// The marks are addresses that no header has: headers are at least 8-aligned, and `AWAITED` comes with one. Two of them are the empty
/// list: nobody need ring for what comes, or whoever brings it does. So a push treats them as it treats any list.
const POLLING: usize = 0;
const IDLE: usize = OWED;
const OFFLINE: usize = AWAITED;

const _: () = assert!(core::mem::align_of::<Header>() >= 8, "three bits of a header's address are free");

/// What was pushed since the last take: headers, newest first, and whether somebody multicasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct List(*const Header);

impl List {
    pub(crate) const EMPTY: Self = Self(core::ptr::null());

    #[inline(always)]
    pub(super) fn of(word: *const Header) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub(super) fn word(self) -> *mut Header {
        self.0.cast_mut()
    }

    /// The newest header; null if there is none.
    #[inline(always)]
    pub(crate) fn newest(self) -> *const Header {
        self.0.map_addr(|addr| addr & !(CALLED | AWAITED | OWED))
    }

    #[inline(always)]
    pub(crate) fn is_called(self) -> bool {
        self.0.addr() & CALLED != 0
    }

    /// Whether somebody waits for anything in it.
    #[inline(always)]
    pub(crate) fn is_awaited(self) -> bool {
        self.0.addr() & (CALLED | AWAITED) != 0
    }

    /// The list with that bit, and rung for.
    pub(super) fn called(self) -> Self {
        Self(self.0.map_addr(|addr| addr & !OWED | CALLED))
    }

    /// The list whose doorbell failed.
    pub(super) fn owed(self) -> Self {
        Self(self.0.map_addr(|addr| addr | OWED))
    }

    /// The list, rung for.
    pub(super) fn paid(self) -> Self {
        Self(self.0.map_addr(|addr| addr & !OWED))
    }

    /// Whether its doorbell failed.
    #[inline(always)]
    pub(crate) fn is_owed(self) -> bool {
        self.0.addr() & OWED != 0
    }

    /// The list with `newest` for its newest, and with that one's bit; rung for.
    #[inline(always)]
    pub(super) fn with_newest(self, newest: &Header, awaited: bool) -> Self {
        let bits = self.0.addr() & (CALLED | AWAITED) | if awaited { AWAITED } else { 0 };
        Self(core::ptr::from_ref(newest).map_addr(|addr| addr | bits))
    }
}

/// What the head word held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Is looking at its queue.
    Polling,
    /// Runs something else, or sleeps.
    Idle,
    /// Takes nothing.
    Offline,
    /// Has entries.
    List(List),
}

impl Seen {
    /// The word of a CPU that never came online.
    pub(super) const OFFLINE_WORD: *mut Header = without_provenance_mut(OFFLINE);

    #[inline(always)]
    pub(super) fn of(word: *mut Header) -> Self {
        match word.addr() {
            IDLE => Self::Idle,
            POLLING => Self::Polling,
            OFFLINE => Self::Offline,
            _ => Self::List(List(word)),
        }
    }

    #[inline(always)]
    pub(super) fn word(self) -> *mut Header {
        match self {
            Self::Idle => without_provenance_mut(IDLE),
            Self::Polling => without_provenance_mut(POLLING),
            Self::Offline => without_provenance_mut(OFFLINE),
            Self::List(list) => list.0.cast_mut(),
        }
    }

    /// Whether whoever replaces it owes the ring.
    #[inline(always)]
    pub(super) fn owes_the_ring(self) -> bool {
        self.word().addr() & OWED != 0
    }
}

/// What the head word held, for whoever only notifies: not told apart, since every mark but one is the empty list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(*mut Header);

impl Word {
    pub(crate) const OFFLINE: Self = Self(without_provenance_mut(OFFLINE));

    #[inline(always)]
    pub(super) fn of(word: *mut Header) -> Self {
        Self(word)
    }

    #[inline(always)]
    pub(super) fn word(self) -> *mut Header {
        self.0
    }

    /// Whether whoever replaces it owes the ring.
    #[inline(always)]
    pub(super) fn owes_the_ring(self) -> bool {
        self.0.addr() & OWED != 0
    }
}

/// The word without the addresses in it: its bits, and whether there is a header.
#[cfg(smpcall_sim)]
pub fn head(word: usize) -> u16 {
    let bits = word & (CALLED | AWAITED | OWED);
    (bits | if word > bits { CALLED << 1 } else { 0 }) as u16
}

/// Such a word in words: the mark, or a list and the names of its bits.
#[cfg(smpcall_sim)]
pub fn head_names(class: u16) -> impl Iterator<Item = &'static str> {
    let word = usize::from(class);
    let (what, is_list) = match word {
        IDLE => ("IDLE", false),
        POLLING => ("POLLING", false),
        OFFLINE => ("OFFLINE", false),
        list if list & CALLED << 1 == 0 => ("empty list", true),
        _ => ("list", true),
    };
    let bits = [(CALLED, "CALLED"), (AWAITED, "AWAITED"), (OWED, "OWED")];
    let names = bits.into_iter().filter(move |(bit, _)| is_list && word & bit != 0).map(|(_, name)| name);
    core::iter::once(what).chain(names)
}
