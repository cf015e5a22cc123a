//! What happened, in words.

use super::{Act, EventKind, Fate, Of, Urgency};
use smpcall_sim_atomics::Race;
use std::fmt;

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Post { csd, target, value, urgency } => {
                let how = match urgency {
                    Urgency::Now => "",
                    Urgency::Lazy => "lazily ",
                    Urgency::Deferred => "deferred ",
                };
                write!(f, "post csd {csd} {how}to CPU {target} (wrote {value})")
            }
            Self::Chain { csds, target, .. } => write!(f, "post chain {csds:?} to CPU {target}"),
            Self::Counted { target } => write!(f, "post a counted csd to CPU {target}"),
            Self::Detached { target, value } => {
                write!(f, "post a detached call to CPU {target} (wrote {value})")
            }
            Self::Cancel { csd } => write!(f, "cancel csd {csd}"),
            Self::Call { target, panics: false } => write!(f, "call CPU {target}"),
            Self::Call { target, panics: true } => write!(f, "call CPU {target}, to panic"),
            Self::Blocking { target, panics: false } => write!(f, "call CPU {target}'s thread"),
            Self::Blocking { target, panics: true } => write!(f, "call CPU {target}'s thread, to panic"),
            Self::Nearest { mask } => write!(f, "call the nearest of {mask:?}"),
            Self::Many { targets, waits, idle } => {
                let what = match (waits, idle) {
                    (true, true) => "multicast to the idle",
                    (true, false) => "multicast",
                    (false, _) => "multicast without waiting",
                };
                write!(f, "{what} of {targets:?}")
            }
            Self::Wait { csd, until: false } => write!(f, "wait for csd {csd}"),
            Self::Wait { csd, until: true } => write!(f, "wait for csd {csd}, not for long"),
            Self::Misuse => write!(f, "a waiting call where waiting is not allowed"),
            Self::Online => write!(f, "come online"),
            Self::Offline => write!(f, "go offline"),
            Self::Poll => write!(f, "poll"),
            Self::User => write!(f, "run a program"),
            Self::Meet { targets } => write!(f, "hold {targets:?}"),
            Self::Stuck => write!(f, "stuck, interrupts off"),
            Self::Recover => write!(f, "visit all CPUs"),
            Self::Await { targets, how } => write!(f, "await calls to {targets:?} ({how:?})"),
            Self::Take { slot } => write!(f, "take the awaited slot {slot}"),
            Self::Give { slot: Some(slot) } => write!(f, "give the awaited slot {slot} back"),
            Self::Give { slot: None } => write!(f, "let go of an awaited slot on the heap"),
        }
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Csd(csd) => write!(f, "csd {csd}"),
            Self::Counted(op) => write!(f, "the counted csd of op {op}"),
            Self::Detached(op) => write!(f, "the detached call of op {op}"),
            Self::Call(op) => write!(f, "the call of op {op}"),
            Self::Blocking(op) => write!(f, "the blocking call of op {op}"),
            Self::Many(op) => write!(f, "the multicast of op {op}"),
            Self::Awaited(op, _) => write!(f, "the awaited call of op {op}"),
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin { op, act } => write!(f, "op {op}: {act}"),
            Self::End { op, came } => write!(f, "op {op} → {came:?}"),
            Self::RunBegin { of, seen, .. } if seen.is_empty() => write!(f, "run {of}"),
            Self::RunBegin { of, seen, .. } => write!(f, "run {of}, sees (sender, value) {seen:?}"),
            Self::RunEnd { of, panics: false } => write!(f, "end of {of}"),
            Self::RunEnd { of, panics: true } => write!(f, "{of} panics"),
            Self::Paid { csd, seen } => write!(f, "does the work of csd {csd} itself, sees {seen:?}"),
            Self::Ring { to, fate: Fate::Arrives, .. } => write!(f, "ring CPU {to}"),
            Self::Ring { to, fate, .. } => write!(f, "ring CPU {to}: {fate:?}"),
            Self::Doorbell => write!(f, "the doorbell interrupts"),
            Self::Looks => write!(f, "looks at its queue"),
            Self::Flushed => write!(f, "flushed"),
            Self::Polls => write!(f, "polls from now on"),
            Self::StopsPolling => write!(f, "stops polling"),
            Self::Works { op } => write!(f, "op {op}: its caller works"),
            Self::Holds { op } => write!(f, "op {op}: all are held"),
            Self::LetsGo { op } => write!(f, "op {op}: all go on"),
            Self::User => write!(f, "is in user space"),
            Self::Enters => write!(f, "enters the kernel"),
            Self::Kernel => write!(f, "has caught up"),
            Self::AtEntry { op } => write!(f, "op {op}: at the entry"),
            Self::Sleeps => write!(f, "sleeps"),
            Self::Wakes(thread) => write!(f, "wakes {thread}"),
            Self::Stalled { target } => write!(f, "CPU {target} does not answer"),
            Self::Caught => write!(f, "a panic was caught"),
            Self::Freed { op } => write!(f, "the counted csd of op {op} is freed"),
            Self::Made { op, part } => write!(f, "op {op}: {part:?} is made"),
            Self::Gone { op, part } => write!(f, "op {op}: {part:?} is dropped"),
            Self::Polled { op, waker } => write!(f, "op {op}: poll, waker {waker}"),
            Self::Pends { op, .. } => write!(f, "op {op} is pending"),
            Self::Woken { op, waker } => write!(f, "op {op}: waker {waker} is woken"),
            Self::Told { op, cpu, answer } => write!(f, "op {op}: CPU {cpu} → {answer:?}"),
            Self::Batch { len } => write!(f, "takes a batch of {len}"),
            Self::Waits { op, steps } => write!(f, "op {op}, left alone, has not ended after {steps} steps"),
            Self::Counted(rows) => write!(f, "the port has counted for {} CPUs", rows.len() - 1),
            Self::Heals => write!(f, "faults end here"),
            Self::Judged { unexcused } => {
                write!(f, "all but what is stuck should have ended; not: {unexcused:?}")
            }
            Self::Settled => write!(f, "everything is at rest"),
            Self::Raced(Race { what, writes, other, other_writes }) => {
                let did = |writes: bool| if writes { "write" } else { "read" };
                let (this, that) = (did(*writes), did(*other_writes));
                write!(f, "DATA RACE: a {this} of {what}, beside a {that} by {other}")
            }
            Self::Panicked { message } => write!(f, "PANIC: {message}"),
        }
    }
}
