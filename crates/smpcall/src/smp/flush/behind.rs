//! A CPU that is behind: its flush has stopped at its budget, and left a [backlog](crate::percpu::Backlog). Nothing here is on the way
//! of a flush that keeps up.

use super::Flushed;
use super::budget::{Before, Left, Packed};
use crate::percpu::{Backlog, Batch, PerCpu, Storage};
use crate::platform::Platform;
use crate::smp::Smp;
use crate::trace::{EventKind, trace};

impl<P: Platform, S: Storage> Smp<P, S> {
    /// A flush that begins with a backlog. As [`Self::run_queue`](super): what is waited for in the backlog, then what is in the
    /// queue, then the posts, the backlog's first.
    #[cold]
    #[inline(never)]
    pub(super) fn run_backlog(&self, cpu: u32, here: &PerCpu, budget: Packed) -> Flushed {
        let mut backlog = here.own.take_left_over();
        let mut left = budget.unpack();
        // For the oldest post: who waits comes first, and not for ever.
        let kept = u32::from(!backlog.batch.r#async.is_null() && left.total() > 1);
        left.posts -= kept;
        self.run_awaited(cpu, here, &mut backlog, &mut left);
        if !backlog.batch.is_awaited() {
            let list = self.take_list(here, false);
            backlog.append(self.open(here, list, true));
            self.run_awaited(cpu, here, &mut backlog, &mut left);
        }
        left.posts += kept;
        self.run_posts(cpu, here, &mut backlog, &mut left);
        if !backlog.batch.is_empty() {
            self.fall_behind(cpu, here, &backlog);
            return Flushed::More(budget.unpack().total() - left.total());
        }
        // It has caught up, unless as much came in the meantime.
        let before = budget.unpack().total() - left.total();
        match self.run_batches(cpu, here, left.packed(), Batch::EMPTY, Before::Lazy) {
            Flushed::More(ran) => Flushed::More(before + ran),
            Flushed::All(ran) => {
                self.catch_up(here);
                Flushed::All(before + ran)
            }
            nothing @ (Flushed::Nested | Flushed::NotACpu) => nothing,
        }
    }

    fn run_awaited(&self, cpu: u32, here: &PerCpu, backlog: &mut Backlog, left: &mut Left) {
        let posts = backlog.batch.r#async;
        let awaited = Batch { r#async: core::ptr::null(), ..backlog.batch };
        let before = left.total();
        let rest = self.run_some(cpu, here, awaited, left);
        backlog.ran(before - left.total(), Batch { r#async: posts, ..rest });
    }

    fn run_posts(&self, cpu: u32, here: &PerCpu, backlog: &mut Backlog, left: &mut Left) {
        let awaited = backlog.batch;
        let posts = Batch { r#async: awaited.r#async, ..Batch::EMPTY };
        let before = left.total();
        let rest = self.run_some(cpu, here, posts, left);
        backlog.ran(before - left.total(), Batch { r#async: rest.r#async, ..awaited });
    }

    /// A flush stops that began without a backlog.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_over(&self, cpu: u32, here: &PerCpu, batch: Batch) {
        self.fall_behind(cpu, here, &Backlog::of(batch));
    }

    /// A flush stops at its budget.
    fn fall_behind(&self, cpu: u32, here: &PerCpu, backlog: &Backlog) {
        here.own.leave_over(backlog);
        let behind_ns = here.callers_line.behind.set(backlog.len(), self.stamp_ns());
        let len = u32::try_from(backlog.len()).unwrap_or(u32::MAX);
        trace!(self, EventKind::LeftOver { csd: backlog.next(), len, behind_ns });
        if !Self::polls(here) {
            // The head stays as it is, POLLING or a list, so nobody else will ring.
            self.ring_oneself(cpu, here);
        }
    }

    /// There is nothing left of a backlog, if there was one.
    #[cold]
    pub(in crate::smp) fn catch_up(&self, here: &PerCpu) {
        let behind = &here.callers_line.behind;
        if behind.len_racy() > 0 {
            let behind_ns = behind.set(0, self.stamp_ns());
            trace!(self, EventKind::CaughtUp { behind_ns });
        }
    }

    fn stamp_ns(&self) -> Option<u64> {
        P::STAMPS.then(|| self.platform.now_ns())
    }

    /// Returns how many calls the last flush of `cpu` that stopped at its [budget](crate::Budget) left over; 0 if it has caught up
    /// since, or never fell behind. What is in its queue does not count: until a flush has taken that, nobody knows how much it is.
    ///
    /// By this a poster can hold back *before* it makes a request, and nobody else pays for it: a post does not look, and is never
    /// refused for it, since a queue has no bound (P2, P9). That is why it is a question to ask, and no answer of a post: what is
    /// posted is promised to run, so by then it is too late to hold back, and an answer that nobody reads would cost a load a post.
    /// A poster that asks between two requests takes no line from others who post.
    ///
    /// Racy: a flush may have begun since.
    ///
    /// Context: any. Progress: wait-free, one load.
    ///
    /// ```
    /// use smpcall::{Csd, Platform, PostError, Posted, Smp, Storage};
    ///
    /// /// More than this, and whoever makes requests makes none for a while.
    /// const BEHIND_MAX: u32 = 64;
    ///
    /// /// `None`: not now.
    /// fn request<P: Platform, S: Storage>(
    ///     smp: &Smp<P, S>,
    ///     cpu: u32,
    ///     csd: &'static Csd<fn()>,
    /// ) -> Option<Result<Posted, PostError>> {
    ///     (smp.backlog_racy(cpu) <= BEHIND_MAX).then(|| smp.post(cpu, csd))
    /// }
    /// ```
    pub fn backlog_racy(&self, cpu: u32) -> u32 {
        self.cpu(cpu).map_or(0, |cpu| cpu.callers_line.behind.len_racy())
    }
}
