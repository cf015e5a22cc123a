//! What a machine keeps for each CPU, in cache lines by who writes them.
//!
//! | line | written by | read by |
//! |---|---|---|
//! | `mailbox`: the queue's head, and one waiting call | posters and the owner | posters and the owner |
//! | `callers_line`: whose the place in the mailbox is; apart from it, a [`relay`](crate::relay) | callers; who multicasts to this CPU's group | the same |
//! | `own` | the owner; lazy posters their list's head | the owner; what a flush left over, also the watchdog |
//! | `running` | the owner; its wakes' headers, rarely, whoever waits for a csd | whoever waits for, or reports on, a run or an acknowledgement |
//! | `detached`: slots for detached calls, two lines | posters, then the owner | the owner |
//!
//! Storage is the user's: an array, a boxed slice, or a `&'static mut` slice that a kernel carved out at start. It is
//! taken by value, so that no CPU has two owners; a machine of N CPUs takes `N × size_of::<PerCpu>()` bytes (P13).
//!
//! # Invariants
//!
//! - **I13** What is linked in a CPU's queue may lie in the CPU's own memory here (a detached call's slot). So a CPU comes online
//!   only in a machine that is pinned: [`Smp::online`](crate::Smp::online) takes a `Pin`, and a machine is `!Unpin`. Neither an
//!   array nor a box of [`PerCpu`] is moved from then on.
//! - **I20** While a frame of this crate that uses a CPU's memory as its owner lies on that CPU's stack below code of the user's,
//!   that CPU neither comes online nor goes offline: the code runs in call context, or is counted in [`Own::frames`]
//!   ([`crate::smp`]'s `context`). So a thread that is asked to stop being that CPU, and asks the machine first, is refused.

mod line;
mod storage;

pub(crate) use self::line::Line;
pub use self::storage::Storage;

use crate::csd::Header;
use crate::detached::DetachedSlots;
use crate::mailbox::{CallersLine, Mailbox};
use crate::multicast::Collected;
use crate::queue::Head;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, OwnBool, OwnPtr, OwnUsize, const_unless_loom};
use crate::wake::Wakes;
use core::ptr::null_mut;

/// One CPU's part of a machine's memory.
pub struct PerCpu {
    pub(crate) mailbox: Line<Mailbox>,
    pub(crate) callers_line: Line<CallersLine>,
    pub(crate) own: Line<Own>,
    pub(crate) running: Line<Running>,
    pub(crate) detached: Line<DetachedSlots>,
}

impl PerCpu {
    const_unless_loom! {
        /// A CPU that never came online.
        pub fn new() -> Self {
            Self {
                mailbox: Line::new(Mailbox::new()),
                callers_line: Line::new(CallersLine::new()),
                own: Line::new(Own::new()),
                running: Line::new(Running::new()),
                detached: Line::new(DetachedSlots::new()),
            }
        }
    }

    /// Returns whether the CPU has to acknowledge one of these slots (I18). Racy: it may have given it by the time this is read.
    pub(crate) fn has_pending_racy(&self, slots: usize) -> bool {
        // In this order: what is not in the mailbox any more was taken.
        self.mailbox.callers.has_racy(slots) || self.running.collected.has_racy(slots)
    }
}

impl Default for PerCpu {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for PerCpu {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PerCpu").field("head", &self.mailbox.head.look()).finish_non_exhaustive()
    }
}

/// What only the owning CPU reads and writes (but for `lazy`), from its thread and from its interrupts. Atomic because an interrupt
/// may come between any two instructions; Relaxed throughout, since one CPU sees its own writes in order.
pub(crate) struct Own {
    /// In call context: a flush, going offline, or a self call.
    in_call: OwnBool,
    /// The idle or event loop looks at the queue by itself; the head's mark is this flag's published copy.
    polling: OwnBool,
    /// What a flush left over at its budget, oldest first: waiting calls, and the others.
    left_sync: OwnPtr<Header>,
    left_async: OwnPtr<Header>,
    /// And the multicasts.
    left_slots: OwnUsize,
    /// Whether any of these holds anything: one look for all.
    left: OwnBool,
    /// How many frames of this crate are below code of the user's that runs outside call context (I20).
    frames: OwnUsize,
    /// Blocking calls that were taken off the queue, for the CPU's thread to run: the oldest, and the newest.
    blocking: OwnPtr<Header>,
    blocking_newest: OwnPtr<Header>,
    /// Who sleeps, or is about to, in a wait that serves blocking calls, plus 1; 0: nobody.
    sleeper: OwnUsize,
    /// A report handler of the port's runs.
    reporting: OwnBool,
    /// Lazy posts. The one thing here that others write, and rarely: the owner looks at it at every flush.
    pub(crate) lazy: Head,
}

impl Own {
    const_unless_loom! {
        fn new() -> Self {
            Self {
                in_call: OwnBool::new(false),
                polling: OwnBool::new(false),
                left_sync: OwnPtr::new(null_mut()),
                left_async: OwnPtr::new(null_mut()),
                left_slots: OwnUsize::new(0),
                left: OwnBool::new(false),
                frames: OwnUsize::new(0),
                blocking: OwnPtr::new(null_mut()),
                blocking_newest: OwnPtr::new(null_mut()),
                sleeper: OwnUsize::new(0),
                reporting: OwnBool::new(false),
                lazy: Head::new(),
            }
        }
    }

    /// How many frames of this crate are below the code that runs outside call context (I20).
    pub(crate) fn frames(&self) -> usize {
        // Relaxed: the owner's own.
        self.frames.load(Ordering::Relaxed)
    }

    pub(crate) fn set_frames(&self, frames: usize) {
        // Relaxed: the owner's own.
        self.frames.store(frames, Ordering::Relaxed);
    }

    pub(crate) fn in_call(&self) -> bool {
        // Relaxed: the owner's own flag.
        self.in_call.load(Ordering::Relaxed)
    }

    pub(crate) fn set_in_call(&self, in_call: bool) {
        // Relaxed: the owner's own flag.
        self.in_call.store(in_call, Ordering::Relaxed);
    }

    pub(crate) fn reporting(&self) -> bool {
        // Relaxed: the owner's own flag.
        self.reporting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_reporting(&self, reporting: bool) {
        // Relaxed: the owner's own flag.
        self.reporting.store(reporting, Ordering::Relaxed);
    }

    pub(crate) fn polling(&self) -> bool {
        // Relaxed: the owner's own flag.
        self.polling.load(Ordering::Relaxed)
    }

    pub(crate) fn set_polling(&self, polling: bool) {
        // Relaxed: the owner's own flag.
        self.polling.store(polling, Ordering::Relaxed);
    }

    /// Returns whether blocking calls are there for the CPU's thread to run. Reads only.
    #[inline]
    pub(crate) fn has_blocking(&self) -> bool {
        // Relaxed: the owner's own list.
        !self.blocking.load(Ordering::Relaxed).is_null()
    }

    /// Puts a blocking call behind those that are there.
    ///
    /// # Safety
    ///
    /// `header` was taken off this CPU's queue, stays alive and in place until it is completed (I5), and is in no list. The irq
    /// guard is held.
    pub(crate) unsafe fn add_blocking(&self, header: &Header) {
        // SAFETY: by I2 the field is ours.
        unsafe { header.set_next(core::ptr::null()) };
        let at = core::ptr::from_ref(header).cast_mut();
        // Relaxed: the owner's own list; the headers were published to us when we took them off the head.
        let newest = self.blocking_newest.load(Ordering::Relaxed);
        if newest.is_null() {
            // Relaxed: as above.
            self.blocking.store(at, Ordering::Relaxed);
        } else {
            // SAFETY: what is in the list is alive (I5), and its fields are ours (I2).
            unsafe { (*newest).set_next(at) };
        }
        // Relaxed: as above.
        self.blocking_newest.store(at, Ordering::Relaxed);
    }

    /// The CPU's thread goes to sleep in a wait that serves blocking calls, and found none; or has woken up.
    pub(crate) fn set_sleeper(&self, waiter: Option<u16>) {
        // Relaxed: the owner's own.
        self.sleeper.store(waiter.map_or(0, |waiter| usize::from(waiter) + 1), Ordering::Relaxed);
    }

    /// Whom a blocking call that is put into the list must wake: an interrupt's flush may come between the look at the list and the
    /// sleep.
    pub(crate) fn sleeper(&self) -> Option<u16> {
        // Relaxed: the owner's own.
        self.sleeper.load(Ordering::Relaxed).checked_sub(1).map(|waiter| waiter as u16)
    }

    /// Takes the oldest blocking call out of the list; null if there is none. The irq guard is held.
    pub(crate) fn take_blocking(&self) -> *const Header {
        // Relaxed: the owner's own list.
        let at = self.blocking.load(Ordering::Relaxed);
        if !at.is_null() {
            // SAFETY: as for `add_blocking`.
            let next = unsafe { (*at).next() }.cast_mut();
            // Relaxed: as above.
            self.blocking.store(next, Ordering::Relaxed);
            if next.is_null() {
                // Relaxed: as above.
                self.blocking_newest.store(null_mut(), Ordering::Relaxed);
            }
        }
        at
    }

    /// Returns whether a flush left something over. Reads only; racy for anybody but the owner.
    pub(crate) fn has_left_over(&self) -> bool {
        // Relaxed: the owner's own.
        self.left.load(Ordering::Relaxed)
    }

    /// Takes what was left over.
    pub(crate) fn take_left_over(&self) -> Batch {
        let batch = Batch {
            // Relaxed: the owner's own lists; the headers were published to us when we took them off the head.
            sync: self.left_sync.load(Ordering::Relaxed),
            // Relaxed: as above.
            r#async: self.left_async.load(Ordering::Relaxed),
            // Relaxed: as above.
            slots: self.left_slots.load(Ordering::Relaxed),
        };
        if !batch.is_empty() {
            self.leave_over(Batch::EMPTY);
        }
        batch
    }

    pub(crate) fn leave_over(&self, batch: Batch) {
        // Relaxed: the owner's own lists.
        self.left_sync.store(batch.sync.cast_mut(), Ordering::Relaxed);
        // Relaxed: as above.
        self.left_async.store(batch.r#async.cast_mut(), Ordering::Relaxed);
        // Relaxed: as above.
        self.left_slots.store(batch.slots, Ordering::Relaxed);
        // Relaxed: as above.
        self.left.store(!batch.is_empty(), Ordering::Relaxed);
    }
}

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
        self.sync.is_null() && self.slots == 0 && self.r#async.is_null()
    }
}

/// What the CPU is running, for those who wait for it or report on it.
///
/// Every store is Release and every load Acquire: a reader that sees a later value than the one of a run also sees all
/// that the run wrote.
pub(crate) struct Running {
    /// The header under way; null between two. Compared, never followed.
    csd: AtomicPtr<Header>,
    /// Its function's address.
    func: AtomicPtr<()>,
    /// How many runs have ended.
    ended: AtomicUsize,
    /// The blocking call that the CPU's thread runs, the innermost. Compared, never followed.
    blocking: AtomicPtr<Header>,
    /// That one's function's address.
    blocking_func: AtomicPtr<()>,
    /// By which those are woken that wait for a csd here.
    pub(crate) wakes: Wakes,
    /// The multicasts that it has to acknowledge, one of which it may be running.
    pub(crate) collected: Collected,
}

impl Running {
    const_unless_loom! {
        fn new() -> Self {
            Self {
                csd: AtomicPtr::new(null_mut()),
                func: AtomicPtr::new(null_mut()),
                ended: AtomicUsize::new(0),
                blocking: AtomicPtr::new(null_mut()),
                blocking_func: AtomicPtr::new(null_mut()),
                wakes: Wakes::new(),
                collected: Collected::new(),
            }
        }
    }

    /// Owner: a run begins, of a header or of a multicast's slot. Before the header is unlocked, so that whoever sees it free finds it here.
    #[inline]
    pub(crate) fn begin(&self, csd: *const Header, func: *const ()) {
        // Relaxed: for reports only.
        self.func.store(func.cast_mut(), Ordering::Relaxed);
        // Release: whoever sees this and not an earlier run has that one's writes too; pairs with `runs`.
        self.csd.store(csd.cast_mut(), Ordering::Release);
    }

    /// Owner: the run has ended.
    #[inline]
    pub(crate) fn end(&self) {
        // Relaxed: only the owner writes it.
        let ended = self.ended.load(Ordering::Relaxed);
        // Release: publishes what the function wrote; pairs with `ended`.
        self.ended.store(ended.wrapping_add(1), Ordering::Release);
        // Release: as above; pairs with `runs`.
        self.csd.store(null_mut(), Ordering::Release);
    }

    /// Owner: its thread begins a blocking call, or goes on with an outer one. Returns what it was before.
    pub(crate) fn begin_blocking(
        &self,
        (header, func): (*const Header, *const ()),
    ) -> (*const Header, *const ()) {
        // Relaxed: only the owner writes them.
        let before = (self.blocking.load(Ordering::Relaxed), self.blocking_func.load(Ordering::Relaxed));
        // Relaxed: for reports only.
        self.blocking.store(header.cast_mut(), Ordering::Relaxed);
        // Relaxed: as above.
        self.blocking_func.store(func.cast_mut(), Ordering::Relaxed);
        (before.0.cast_const(), before.1.cast_const())
    }

    /// Returns whether this blocking call is the one that the CPU's thread runs. Racy.
    pub(crate) fn runs_blocking_racy(&self, header: *const Header) -> bool {
        // Relaxed: for reports only.
        self.blocking.load(Ordering::Relaxed).cast_const() == header
    }

    /// Owner: returns whether its thread is inside of a blocking call's function.
    pub(crate) fn is_in_blocking(&self) -> bool {
        // Relaxed: only the owner writes it.
        !self.blocking.load(Ordering::Relaxed).is_null()
    }

    /// Returns whether this header's function is under way.
    pub(crate) fn runs(&self, csd: *const Header) -> bool {
        // Acquire: a `false` after the header was seen unlocked means that its run has ended, and shows what it wrote;
        // pairs with `end` and `begin`.
        self.csd.load(Ordering::Acquire).cast_const() == csd
    }

    /// Returns the address of the function under way, if any. Racy: it may have ended by the time it is read.
    pub(crate) fn func_racy(&self) -> Option<*const ()> {
        // Relaxed: for reports only.
        let idle = self.csd.load(Ordering::Relaxed).is_null();
        // Relaxed: as above.
        (!idle).then(|| self.func.load(Ordering::Relaxed).cast_const())
    }

    /// Returns the address of the function of the blocking call that the CPU's thread runs, the innermost, if any. Racy.
    pub(crate) fn blocking_func_racy(&self) -> Option<*const ()> {
        // Relaxed: for reports only.
        let func = self.blocking_func.load(Ordering::Relaxed).cast_const();
        (!func.is_null()).then_some(func)
    }

    /// Returns how many runs have ended, modulo the word.
    pub(crate) fn ended(&self) -> usize {
        // Acquire: shows what the ended runs wrote; pairs with `end`.
        self.ended.load(Ordering::Acquire)
    }
}
