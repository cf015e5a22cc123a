//! How much a flush may run.

use crate::percpu::Batch;
use core::num::NonZeroU32;

/// How many functions a flush may run before it lets its CPU do something else: in all, and of those that nobody waits for.
///
/// What is left over is the CPU's [backlog](crate::Smp::backlog_racy). The next flush takes the queue before it goes on with it, and
/// runs what somebody waits for first; so a waiting call does not stand behind a flood of posts, whatever the budget. Of the backlog's
/// posts it runs one at least, unless the total is 1, so that no flood of waiting calls holds those up for ever.
///
/// One number is enough for most: it is how long a flush may take, and within it those come first who are waited for. A smaller one
/// for posts is for a CPU whose thread has other work, and is to have its turn more often under a flood of them, while waiting calls
/// are still run together.
///
/// ```
/// use core::num::NonZeroU32;
/// use smpcall::{Budget, Cpu, Flushed, Platform, Storage};
///
/// const AT_MOST: Budget = Budget::calls(NonZeroU32::new(256).unwrap()).posts(NonZeroU32::new(16).unwrap());
///
/// fn some<P: Platform, S: Storage>(cpu: &mut Cpu<'_, P, S>) -> bool {
///     // Of a hundred posts, 16; what is left rings again.
///     cpu.flush(AT_MOST) == Flushed::More(16)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    calls: NonZeroU32,
    posts: NonZeroU32,
}

impl Budget {
    /// For an interrupt handler or an event loop: 256 functions.
    pub const DEFAULT: Self = Self::calls(NonZeroU32::new(256).unwrap());

    /// That many functions, of whatever kind.
    pub const fn calls(calls: NonZeroU32) -> Self {
        Self { calls, posts: calls }
    }

    /// The same total, and at most `posts` of those that nobody's [`Smp::call`](crate::Smp::call) or multicast waits for: posts, awaited
    /// and detached calls, wakes, [entries](crate::Entry), and calls that may block, which a flush only hands to the CPU's thread. More
    /// than the total is the total.
    ///
    /// ```
    /// # use core::num::NonZeroU32;
    /// # use smpcall::Budget;
    /// let [one, two] = [1, 2].map(|calls| NonZeroU32::new(calls).unwrap());
    /// assert_eq!(Budget::calls(one).posts(two), Budget::calls(one));
    /// assert_ne!(Budget::calls(two).posts(one), Budget::calls(two));
    /// ```
    #[must_use]
    pub const fn posts(self, posts: NonZeroU32) -> Self {
        let posts = if posts.get() < self.calls.get() { posts } else { self.calls };
        Self { calls: self.calls, posts }
    }

    /// All of it.
    #[inline(always)]
    pub(super) fn packed(self) -> Packed {
        Left { posts: self.posts.get(), awaited: self.calls.get() - self.posts.get() }.packed()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What is left of a budget.
pub(in crate::smp) struct Left {
    /// For whatever comes.
    pub(in crate::smp) posts: u32,
    /// Only for what somebody waits for, which takes these first.
    pub(in crate::smp) awaited: u32,
}

impl Left {
    /// More than there are csds: no budget.
    pub(in crate::smp) const ALL: Self = Self { posts: u32::MAX, awaited: 0 };

    /// How many calls may run.
    #[inline(always)]
    pub(in crate::smp) fn total(&self) -> u32 {
        self.posts + self.awaited
    }

    /// Takes one that somebody waits for, if there is room for it.
    #[inline(always)]
    pub(super) fn take_awaited(&mut self) -> bool {
        let from = if self.awaited > 0 { &mut self.awaited } else { &mut self.posts };
        let taken = *from > 0;
        *from -= u32::from(taken);
        taken
    }

    /// In one register.
    #[inline(always)]
    pub(super) fn packed(&self) -> Packed {
        Packed(u64::from(self.posts) | u64::from(self.awaited) << 32)
    }

    /// After what the short way has run, if anything; it counts as a post, since that way does not tell.
    #[inline]
    pub(super) fn after(self, before: Before) -> Self {
        Self { posts: self.posts - u32::from(before == Before::One), ..self }
    }

    /// Whether none of the batch may run.
    #[inline]
    pub(super) fn is_used_up_for(&self, batch: &Batch) -> bool {
        self.posts == 0 && (self.awaited == 0 || !batch.is_awaited())
    }
}

/// What is left of a budget, in one register, so that the way of a flush that keeps up is none the longer.
#[derive(Clone, Copy)]
pub(super) struct Packed(u64);

impl Packed {
    #[inline(always)]
    pub(super) fn unpack(self) -> Left {
        Left { posts: self.0 as u32, awaited: (self.0 >> 32) as u32 }
    }
}

/// How far a flush has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Nothing was taken.
    Nothing,
    /// What was queued lazily was taken.
    Lazy,
    /// And one call ran.
    One,
}
