//! P2 where it is won or lost: posts that come just when their csd is unlocked.
//!
//! The csd has one poster, so nobody else's post can hide that one was not seen, and nobody else's cancel can take a
//! promised run away. The moment of the second post is steered to where about half of them come too late to be told
//! Busy. Every other time it is a cancel that comes at that moment: then either the run is removed or it runs.

use super::super::csds::{Outcome, Own};
use super::super::tally::Check;
use super::super::worker::Worker;
use smpcall_host::smpcall::Budget;
use std::hint::{black_box, spin_loop};

/// How many races at a time.
const ROUNDS: u32 = 32;
/// How long the runs are waited for, in looks; longer, and the target is off its core, perhaps because of this thread.
const LOOKS_MAX: u32 = 2000;
const DELAY_MAX: u32 = 1 << 12;
/// The second post comes up to this much later than the steering says.
const JITTER: u32 = 64;

/// When to send the second post, in turns of an empty loop; learnt.
#[derive(Default)]
pub(in super::super) struct Aim {
    delay: u32,
}

impl Aim {
    fn wait(&self, jitter: u32) {
        for turn in 0..self.delay + jitter {
            black_box(turn);
        }
    }

    fn learn(&mut self, came_in_time: bool) {
        self.delay =
            if came_in_time { (self.delay + 1).min(DELAY_MAX) } else { self.delay.saturating_sub(1) };
    }
}

/// Races with one CPU for a while, which it spends looking at its queue.
pub(super) fn race(worker: &mut Worker) {
    let own = &worker.kit.raced;
    let target = worker.partner();
    if !own.is_settled() || worker.kit.cpu == Some(target) {
        return;
    }
    let held = &worker.ground().cpu(target).held;
    held.set(1);
    for round in 0..ROUNDS {
        if !once(worker, own, target, round % 2 == 0) {
            break;
        }
    }
    held.set(0);
}

/// One race; `false` if the target is not there to race with.
fn once(worker: &mut Worker, own: &Own, target: u32, with_post: bool) -> bool {
    let first = own.post_next(target);
    worker.complain_if_wrong(first, own, target);
    if first != Outcome::Due {
        return false;
    }
    worker.aim.wait(worker.rng.u32(..JITTER));
    let due = own.body.due.get();
    let second = if with_post { own.post_next(target) } else { own.cancel() };
    worker.complain_if_wrong(second, own, target);
    // Coalesced Busy, or the run removed.
    let in_time = if with_post { own.body.due.get() == due } else { second == Outcome::Refused };
    worker.aim.learn(in_time);
    let settled = settles(worker, own);
    if settled {
        let (owed, seen) = (own.body.owed.read(), own.body.seen.read());
        worker.expect(Check::Seen, seen >= owed, || {
            format!("a post to CPU {target} that was promised a run was not seen: {seen} of {owed}")
        });
    }
    settled
}

/// Waits until every run that is due has ended, for a while, and serves its own queue meanwhile.
fn settles(worker: &Worker, own: &Own) -> bool {
    for look in 0..LOOKS_MAX {
        if own.is_settled() {
            return true;
        }
        spin_loop();
        if look % 64 == 63
            && let Some(attached) = &worker.attached
        {
            worker.poll(attached, Budget::DEFAULT);
        }
    }
    own.is_settled()
}
