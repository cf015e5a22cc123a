//! Tracepoints (P12): what the core tells a port that asks for it.
//!
//! A port asks by [`Tracing::TRACES`](crate::Tracing::TRACES), a constant: where it is false, no instruction of a post,
//! a call or a flush is for tracing (`cargo xtask same-code` compares them with sources that have no tracepoint). A call
//! site is one line, `trace!(self, EventKind::Busy { … })`. [`Stats`](crate::Stats) is a ready-made listener that counts.
//!
//! # Order
//!
//! `Queue` comes *before* the push, like Linux's `csd_queue_cpu`, so that it is never later than the `Entry` of the run
//! that it leads to; `Entry` comes before the csd is unlocked, so never later than the next `Queue` of the same csd.
//! So on one clock, the events of one csd and target alternate: `Queue`, `Entry`, `Queue`, `Entry`; or `Queue`, `Refused`.
//! After an accepted push comes `Pushed`, and with it exactly one of `Ring` and `Saved`.
//!
//! A call to one's own CPU, and a multicast's part on the caller, are not queued: they run inline, and are not told.
//!
//! No event follows a pointer: a csd's address is a name, and may be another csd's by the time it is read.

/// Tells the port, if it listens. The expression is not evaluated where it does not.
#[cfg(not(smpcall_untraced))]
macro_rules! trace {
    ($smp:expr, $what:expr) => {{
        if P::TRACES {
            $smp.tell($what);
        }
    }};
}
/// Without any tracepoint in the sources: what `cargo xtask same-code` compares with.
#[cfg(smpcall_untraced)]
macro_rules! trace {
    ($smp:expr, $what:expr) => {{}};
}
pub(crate) use trace;

/// The event before a push.
#[inline]
pub(crate) fn queue(cpu: u32, csd: usize, func: usize, kind: CallKind) -> EventKind {
    EventKind::Queue { cpu, csd, func, kind }
}

/// Something that happened, and who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The CPU that did it; `None` for a thread that is no CPU.
    pub by: Option<u32>,
    /// What it did.
    pub kind: EventKind,
}

/// What kind of call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallKind {
    /// Posted: free again before its function starts.
    Posted,
    /// Posted without a doorbell.
    Lazy,
    /// Posted for when the CPU is in the kernel.
    Deferred,
    /// Kept at the target.
    Detached,
    /// Somebody waits for it.
    Waiting,
    /// Somebody waits for it, and it runs in the target's thread.
    Blocking,
    /// A multicast; its csd is the slot that it is kept in.
    Many,
    /// A csd of another language, or something that is no csd.
    Foreign,
}

/// What happened. Addresses are names, to be compared or looked up, not followed. Times are in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A claimed call is about to be pushed. `Pushed` follows, or `Refused`.
    Queue {
        /// The target.
        cpu: u32,
        /// The call object's address.
        csd: usize,
        /// The address of what will run: a function of this crate, made for the caller's closure; what a foreign csd holds; or 0.
        func: usize,
        /// Its kind.
        kind: CallKind,
    },
    /// A push went through: so many calls are queued.
    Pushed {
        /// The target.
        cpu: u32,
        /// How many; more than one for a chain.
        calls: u32,
    },
    /// A post was told Busy.
    Busy {
        /// The CPU that the csd is queued for.
        cpu: u32,
        /// The csd.
        csd: usize,
    },
    /// The target is offline, and nothing was queued. With 0 for the csd: a whole chain, or a detached call
    /// that no slot was claimed for.
    Refused {
        /// The target.
        cpu: u32,
        /// The call object, if it is one.
        csd: usize,
    },
    /// Doorbells are sent, to CPU `first + n` for each bit `n`.
    Ring {
        /// The CPU of bit 0.
        first: u32,
        /// One bit for each.
        cpus: usize,
    },
    /// Of the doorbells that were just sent, the port says that these were not ([`RingError`](crate::RingError)): they are owed.
    Unrung {
        /// As in `Ring`.
        first: u32,
        /// As in `Ring`.
        cpus: usize,
    },
    /// A push needed no doorbell: the target is looking, or was rung already (P7).
    Saved {
        /// The target.
        cpu: u32,
    },
    /// A flush has taken a batch off its queue.
    Batch {
        /// How many calls.
        len: u32,
    },
    /// A flush has stopped at its [budget](crate::Budget).
    LeftOver {
        /// The call that comes next; 0 for a multicast.
        csd: usize,
        /// How many calls are left over.
        len: u32,
        /// For how long the CPU has been behind: since the first flush that stopped, none since having caught up. Only where the port
        /// stamps, and exact as far as a stamp is: modulo 68 s.
        behind_ns: Option<u64>,
    },
    /// Nothing is left over any more.
    CaughtUp {
        /// As in `LeftOver`.
        behind_ns: Option<u64>,
    },
    /// A function is about to start, on the CPU that says so.
    Entry {
        /// As in `Queue`.
        csd: usize,
        /// As in `Queue`.
        func: usize,
        /// How long it was queued; only where the port [stamps](crate::Tracing::STAMPS).
        queued_ns: Option<u64>,
    },
    /// It has returned, or its run was cancelled. Comes before a waiting caller is told.
    Exit {
        /// As in `Queue`.
        csd: usize,
        /// As in `Queue`.
        func: usize,
        /// How long it ran; only where the port stamps.
        ran_ns: Option<u64>,
    },
    /// A wait is reported as stalled; [`Reporting::call_stalled`](crate::Reporting::call_stalled) has the details.
    Stalled {
        /// The CPU that does not answer.
        cpu: u32,
    },
}
