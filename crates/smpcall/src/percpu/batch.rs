//! What a flush has still to run.

use crate::csd::Header;

/// What was taken off a queue: headers, oldest first, each the target's until it is run (I2), and the multicasts that it
/// has to acknowledge (I11).
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    /// Calls that somebody waits for: they run first (P6).
    pub(crate) sync: *const Header,
    /// Multicasts: they run next.
    pub(crate) slots: usize,
    pub(crate) r#async: *const Header,
}

impl Batch {
    pub(crate) const EMPTY: Self = Self { sync: core::ptr::null(), slots: 0, r#async: core::ptr::null() };

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_awaited() && self.r#async.is_null()
    }

    /// Whether there is anything that runs before the posts.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.sync.is_null() || self.slots != 0
    }
}
