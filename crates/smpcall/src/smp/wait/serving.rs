//! What a waiter does for the CPU that it finds itself on (P10): serve its queue, and agree with those who post to it.
//!
//! | | a waiter that stays | one that may migrate (I26) |
//! |---|---|---|
//! | between two looks | the CPU counts as polling: nobody rings | it does not: who posts rings, as if nobody waited |
//! | a look | flush | under one irq guard: takes back a mark that it finds, and flushes |
//! | before the sleep | ends the polling, if there is no work | looks whether there is work |
//! | blocking calls | runs them, where it waits for one | only the thread that is bound to its CPU does |
//!
//! A mark would be wrong on a CPU whose waiter may be preempted: what runs there instead does not look.

use super::awaited::Wait;
use crate::percpu::Storage;
use crate::platform::{IrqGuard, Platform};
use crate::smp::{Budget, Serve, Smp};

/// What a wait has found where it began, for its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The CPU polled already, or is not polled for.
    AsItStays,
    /// The wait made it poll.
    AtRest,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// A wait begins.
    pub(super) fn begin_serving(&self) -> Found {
        let rested = self.polls_in_waits() && self.here().is_some_and(|(_, here)| !here.own.polling());
        self.poll_for_wait();
        if rested { Found::AtRest } else { Found::AsItStays }
    }

    /// Between two looks at what is waited for. Returns whether anything may have run.
    pub(super) fn serve_once(&self, serve: Serve) -> bool {
        if self.here().is_none() {
            self.platform.serve_elsewhere(serve);
            return false;
        }
        if !P::SERVES_IN_WAITS {
            return false;
        }
        if serve == Serve::Blocking && self.is_at_home() {
            self.run_blocking();
        }
        if P::MIGRATES {
            self.flush_where_we_are();
        } else {
            // `More` needs no answer: we look again.
            let _ = self.flush(Budget::DEFAULT);
        }
        true
    }

    /// Flushes the CPU that the caller is on just now. What it finds marked as polling has nobody who looks.
    fn flush_where_we_are(&self) {
        let _irq = IrqGuard::new(&self.platform);
        let Some((_, here)) = self.here() else { return };
        here.own.set_polling(false);
        // On its way out it takes the mark back. `More` has rung.
        let _ = self.flush(Budget::DEFAULT);
    }

    /// Before a sleep: `false` if there is work to serve first. A CPU that sleeps does not look.
    pub(super) fn may_sleep(&self, serve: Serve, waiter: Option<u16>) -> bool {
        let _irq = IrqGuard::new(&self.platform);
        let Some((_, here)) = self.here() else { return true };
        let blocking = serve == Serve::Blocking && self.is_at_home();
        if P::BLOCKING_CALLS && blocking && here.own.has_blocking() {
            return false;
        }
        if !self.stop_polling(here) {
            return false;
        }
        if blocking {
            here.own.set_sleeper(waiter);
        }
        true
    }

    /// After it.
    pub(super) fn end_sleep(&self, wait: &Wait<'_>) {
        if wait.serve == Serve::Blocking && P::SERVES_IN_WAITS {
            if let Some(here) = self.home() {
                here.own.set_sleeper(None);
            }
        }
        self.poll_for_wait();
    }

    /// A wait is over.
    pub(super) fn end_serving(&self, found: Found) {
        if found != Found::AtRest {
            return;
        }
        if let Some((_, here)) = self.here() {
            here.own.set_polling(false);
            // On its way out a flush takes the mark back, or runs what came while the mark kept posters from ringing.
            let _ = self.flush(Budget::DEFAULT);
        }
    }

    fn polls_in_waits(&self) -> bool {
        const { assert!(P::POLLS || !P::SERVES_IN_WAITS, "who serves while it waits polls (`Tuning::POLLS`)") };
        P::SERVES_IN_WAITS && !P::MIGRATES
    }

    fn poll_for_wait(&self) {
        if !self.polls_in_waits() {
            return;
        }
        if let Some((_, here)) = self.here() {
            let _irq = IrqGuard::new(&self.platform);
            self.start_polling(here);
        }
    }
}
