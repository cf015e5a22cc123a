//! How a caller waits: it looks, serves the CPU that it finds itself on, pauses, reports, sleeps.
//!
//! [`wait_loop`] is the loop; [`serving`] is what a waiter does for a CPU, [`report`] what it says of one that does not answer, by
//! the clock in [`stall_clock`]; [`awaited`] says what is waited for. The other files are the waits: for a csd's run ([`csd`]), for a
//! multicast ([`many`]), for anything ([`until`]), and those of a thread that is a CPU elsewhere ([`elsewhere`]).
//!
//! # Invariants
//!
//! - **I26** A waiter keeps no CPU (P15): where threads [migrate](crate::Waiting::MIGRATES), what it reads or writes of a CPU's own memory it
//!   reads or writes under one irq guard, under which it has asked where it is; and it leaves nothing there that another step of
//!   its own must undo: no mark of polling, no count of frames, no report under way. What is its own is the thread's: its number for
//!   wake-ups, its call's frame. Only the thread that is [bound](crate::Waiting::is_bound) to its CPU keeps something there.

mod awaited;
mod csd;
mod elsewhere;
mod many;
mod report;
mod serving;
mod stall_clock;
mod until;
mod wait_loop;

use self::awaited::Wait;
use super::{Serve, Smp};
use crate::csd::{Func, Header};
use crate::percpu::{PerCpu, Storage};
use crate::platform::Platform;

/// Whom a call is for, how its caller is woken, and what that serves meanwhile.
#[derive(Clone, Copy)]
pub(super) struct CallSetup<'a> {
    pub(super) cpu: u32,
    pub(super) target: &'a PerCpu,
    pub(super) waiter: Option<u16>,
    pub(super) serve: Serve,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Returns whether the caller may wait (P10): it is in thread context, and its CPU, `here`, is in no call. A caller that may
    /// migrate, and has interrupts on, is in none.
    #[inline]
    pub(super) fn may_wait(&self, here: Option<(u32, &PerCpu)>) -> bool {
        self.platform.can_wait() && (P::MIGRATES || !here.is_some_and(|(_, here)| here.own.in_call()))
    }

    /// The number by which the caller is woken, if the port wakes callers and has one left.
    #[inline(always)]
    pub(super) fn waiter(&self) -> Option<u16> {
        if P::PARKS { self.platform.waiter() } else { None }
    }

    /// Waits until a queued waiting call is done.
    #[inline]
    pub(super) fn await_call(
        &self,
        setup: &CallSetup<'_>,
        header: &Header,
        func: Func,
        function: &'static str,
    ) {
        let CallSetup { cpu: target_cpu, target, waiter, serve } = *setup;
        if self.platform.look_first(target_cpu, func as usize, || header.state.is_done()) {
            return;
        }
        let wait = Wait {
            target,
            target_cpu,
            header,
            function,
            waiter,
            deadline_ns: None,
            slots: 0,
            gathers: false,
            serve,
        };
        let ask = || if waiter.is_some() { Some(header.state.park()) } else { None };
        let done = self.wait_loop(&wait, &|| header.state.is_done(), &ask);
        debug_assert!(done.is_ok(), "there is no deadline");
    }
}
