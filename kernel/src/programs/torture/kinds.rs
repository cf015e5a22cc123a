//! The kinds of calls: a function each, and a row of [`KINDS`].

use super::accounts::{CSDS, Contested, Lane, Outcome, Shared, wrong};
use crate::cpus;
use crate::machine::SMP;
use crate::traps;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use fastrand::Rng;
use smpcall::{CallError, DetachedError, ManyError, To};

/// What a call came to.
enum Came {
    Done,
    /// The target was offline, or there was no room.
    Refused,
    /// Not on this machine.
    NotHere,
}

pub(super) struct Kind {
    pub(super) name: &'static str,
    perform: fn(u32, u32, &mut Rng) -> Came,
    cpus_min: u32,
    done: AtomicU64,
    refused: AtomicU64,
}

impl Kind {
    const fn new(name: &'static str, cpus_min: u32, perform: fn(u32, u32, &mut Rng) -> Came) -> Self {
        Self { name, perform, cpus_min, done: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// How many were done, and how many refused.
    pub(super) fn count(&self) -> (u64, u64) {
        // Relaxed: figures.
        (self.done.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Whether it is none of this machine.
    pub(super) fn is_skipped(&self) -> bool {
        cpus::count() < self.cpus_min || self.name == "nmi" && !crate::arch::HAS_NMI
    }
}

pub(super) static KINDS: [Kind; 12] = [
    Kind::new("post", 1, |_, to, rng| posted(Shared::post(which(rng), to))),
    Kind::new("contested", 1, contested),
    Kind::new("lazy", 1, lazy),
    Kind::new("call", 1, call),
    Kind::new("blocking", 1, blocking),
    Kind::new("many", 1, many),
    Kind::new("scatter", 2, scatter),
    Kind::new("detached", 1, detached),
    Kind::new("wait", 1, wait),
    Kind::new("interrupt", 1, |_, to, rng| from_interrupt(to, rng, false)),
    Kind::new("nmi", 1, |_, to, rng| from_interrupt(to, rng, true)),
    Kind::new("idle", 1, idle),
];

/// One call of a random kind to a random CPU, and what others want of this CPU's thread.
pub(super) fn any(me: u32, rng: &mut Rng) {
    SMP.run_blocking();
    let kind = &KINDS[rng.usize(..KINDS.len())];
    let to = rng.u32(..cpus::count());
    match (kind.perform)(me, to, rng) {
        // Relaxed: figures.
        Came::Done => _ = kind.done.fetch_add(1, Ordering::Relaxed),
        Came::Refused => _ = kind.refused.fetch_add(1, Ordering::Relaxed),
        Came::NotHere => {}
    }
}

fn which(rng: &mut Rng) -> usize {
    rng.usize(..CSDS)
}

fn posted(posted: Outcome) -> Came {
    if posted == Outcome::Due { Came::Done } else { Came::Refused }
}

fn contested(_me: u32, to: u32, rng: &mut Rng) -> Came {
    let which = which(rng);
    let outcome = Contested::post(which, to);
    if rng.bool() {
        Contested::cancel(which);
    }
    posted(outcome)
}

/// Lazy, then expedited to the same CPU: nothing lazy is left when all come to rest.
fn lazy(_me: u32, to: u32, rng: &mut Rng) -> Came {
    let which = which(rng);
    Shared::post_lazy(which, to);
    // Busy elsewhere, it is expedited there.
    posted(Shared::post(which, to))
}

fn call(_me: u32, to: u32, rng: &mut Rng) -> Came {
    let number = rng.u64(..);
    let mut borrowed = [0; 9];
    let answer = SMP.call(to, || {
        if crate::arch::current_cpu() != Some(to) {
            wrong(format_args!("a call to CPU {to} ran elsewhere"));
        }
        borrowed.fill(number);
        number ^ 1
    });
    judge("call", answer, number ^ 1, borrowed.iter().all(|word| *word == number))
}

fn blocking(_me: u32, to: u32, rng: &mut Rng) -> Came {
    let number = rng.u64(..);
    let onward = rng.u32(..cpus::count());
    let mut wrote = 0;
    let answer = SMP.call_blocking(to, || {
        wrote = number;
        // It may wait in turn.
        if let Err(CallError::WouldDeadlock) = SMP.call(onward, || ()) {
            wrong(format_args!("a call from a blocking call on CPU {to} was refused"));
        }
        number ^ 2
    });
    judge("blocking call", answer, number ^ 2, wrote == number)
}

fn judge(kind: &str, answer: Result<u64, CallError>, due: u64, wrote: bool) -> Came {
    match answer {
        Ok(answer) if answer == due && wrote => Came::Done,
        Ok(answer) => {
            wrong(format_args!("a {kind} came back with {answer:#x} for {due:#x}, its writes seen: {wrote}"));
            Came::Done
        }
        Err(CallError::Offline) if !wrote => Came::Refused,
        Err(why) => {
            wrong(format_args!("a {kind}: {why}, its writes seen: {wrote}"));
            Came::Refused
        }
    }
}

/// A multicast that waits, to all or to the others.
fn many(_me: u32, _to: u32, rng: &mut Rng) -> Came {
    let ran = AtomicU32::new(0);
    let to = if rng.bool() { To::All } else { To::Others };
    // Relaxed: the call's return publishes it (P4).
    match SMP.call_many(to, || _ = ran.fetch_add(1, Ordering::Relaxed)) {
        Ok(reached) if reached.ran == ran.load(Ordering::Relaxed) => Came::Done,
        other => {
            wrong(format_args!("a multicast that ran {} times: {other:?}", ran.into_inner()));
            Came::Refused
        }
    }
}

/// A multicast that nobody waits for, to one other CPU: it has a number.
fn scatter(me: u32, to: u32, _rng: &mut Rng) -> Came {
    if to == me {
        return Came::NotHere;
    }
    let number = Lane::Many.next(me, to);
    let mut only = |cpu| cpu == to;
    match SMP.post_many(To::If(&mut only), move || Lane::Many.ran(me, to, number)) {
        Ok(reached) if reached.ran == 1 => {
            Lane::Many.accepted(me, to, number);
            Came::Done
        }
        Ok(_) | Err(ManyError::Full) => Came::Refused,
        Err(why) => {
            wrong(format_args!("a multicast to CPU {to}: {why}"));
            Came::Refused
        }
    }
}

fn detached(me: u32, to: u32, _rng: &mut Rng) -> Came {
    let number = Lane::Detached.next(me, to);
    match SMP.post_detached(to, move || Lane::Detached.ran(me, to, number)) {
        Ok(()) => {
            Lane::Detached.accepted(me, to, number);
            Came::Done
        }
        Err(DetachedError::Full | DetachedError::Offline) => Came::Refused,
        Err(why) => {
            wrong(format_args!("a detached call to CPU {to}: {why}"));
            Came::Refused
        }
    }
}

fn wait(_me: u32, to: u32, rng: &mut Rng) -> Came {
    let which = which(rng);
    if Shared::post(which, to) == Outcome::Refused {
        return Came::Refused;
    }
    match SMP.wait(Shared::csd(which)) {
        Ok(()) => Came::Done,
        Err(_) => {
            wrong(format_args!("a wait in thread context was refused"));
            Came::Refused
        }
    }
}

/// An interrupt, or an NMI, on this CPU, whose handler posts.
fn from_interrupt(to: u32, rng: &mut Rng, nmi: bool) -> Came {
    let which = which(rng);
    let handler = || _ = Shared::post(which, to);
    if nmi {
        return if traps::nmi_self(&handler) { Came::Done } else { Came::NotHere };
    }
    traps::interrupt_self(&handler);
    Came::Done
}

/// Sleeps for a moment, so that somebody has to ring.
fn idle(_me: u32, _to: u32, rng: &mut Rng) -> Came {
    let until_ns = crate::arch::now_ns() + u64::from(rng.u32(..100_000));
    crate::idle::until(&SMP, || crate::arch::now_ns() >= until_ns);
    Came::Done
}
