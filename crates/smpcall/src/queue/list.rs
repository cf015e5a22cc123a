//! What a head word holds: a mark, or a list and its two bits.

use crate::csd::Header;
use core::ptr::without_provenance_mut;

/// The marks are addresses that no header has: headers are at least 8-aligned, and a list's word has this bit clear.
pub(super) const IDLE: usize = 4;
pub(super) const POLLING: usize = 5;
pub(super) const OFFLINE: usize = 6;
/// The bit of a list that says that somebody multicasts; 2 or 3 alone is a list without a header.
pub(super) const CALLED: usize = 2;
/// The bit of a list in which there is a call that somebody waits for. Looked at before the list is taken, when its headers
/// cannot be: nothing has made them visible yet.
pub(super) const AWAITED: usize = 1;

const _: () = assert!(core::mem::align_of::<Header>() >= 8, "three bits of a header's address are free");

/// What was pushed since the last take: headers, newest first, and whether somebody multicasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct List(pub(super) *const Header);

impl List {
    pub(crate) const EMPTY: Self = Self(core::ptr::null());

    /// The newest header; null if there is none.
    #[inline(always)]
    pub(crate) fn newest(self) -> *const Header {
        self.0.map_addr(|addr| addr & !(CALLED | AWAITED))
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

    pub(super) fn called(self) -> Self {
        Self(self.0.map_addr(|addr| addr | CALLED))
    }

    /// The list with `newest` for its newest, and with that one's bit.
    #[inline(always)]
    pub(super) fn with_newest(self, newest: &Header, awaited: bool) -> Self {
        let bits = self.0.addr() & (CALLED | AWAITED) | if awaited { AWAITED } else { 0 };
        Self(core::ptr::from_ref(newest).map_addr(|addr| addr | bits))
    }
}

/// What the head word held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// Runs something else, or sleeps.
    Idle,
    /// Is looking at its queue.
    Polling,
    /// Takes nothing.
    Offline,
    /// Has entries.
    List(List),
}

impl Seen {
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
}
