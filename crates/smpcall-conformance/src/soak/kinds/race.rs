//! P2 where it is won or lost: posts that come just when their csd is unlocked.
//!
//! The csd has one poster, so nobody else's post can hide that one was not seen, and nobody else's cancel can take a
//! promised run away. The moment of the second post is steered to where about half of them come too late to be told
//! Busy. Every other time it is a cancel that comes at that moment: then either the run is removed or it runs.

use super::Came;
use crate::soak::entries::{Outcome, Urgency};
use crate::soak::shared_state::Use;
use crate::soak::{Rig, Worker};
use core::hint::black_box;

/// How many races at a time.
const ROUNDS: u32 = 32;
/// How long the runs are waited for, in looks; longer, and the target is off its core, perhaps because of this thread.
const LOOKS_MAX: u32 = 2000;
const DELAY_MAX: u32 = 1 << 12;
/// The second post comes up to this much later than the steering says.
const JITTER: u32 = 64;

/// When to send the second post, in turns of an empty loop; learnt.
#[derive(Default)]
pub(in crate::soak) struct Aim {
    delay: u32,
}

impl Aim {
    fn wait(&self, jitter: u32) {
        (0..self.delay + jitter).for_each(|turn| _ = black_box(turn));
    }

    fn learn(&mut self, came_in_time: bool) {
        self.delay =
            if came_in_time { (self.delay + 1).min(DELAY_MAX) } else { self.delay.saturating_sub(1) };
    }
}

/// Races with one CPU for a while, which it spends looking at its queue.
pub(super) fn race<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (own, target) = (worker.poster.own(Use::Raced), worker.partner());
    if worker.poster.cpu == Some(target) {
        return Came::NotHere;
    }
    if !own.is_settled() {
        return Came::Refused;
    }
    let held = &worker.soak.cpu(target).held;
    held.set(1);
    let raced = (0..ROUNDS).take_while(|round| once(worker, target, *round % 2 == 0)).count();
    held.set(0);
    if raced > 0 { Came::Done } else { Came::Refused }
}

/// One race; `false` if the target is not there to race with.
fn once<R: Rig>(worker: &mut Worker<R>, target: u32, with_post: bool) -> bool {
    let own = worker.poster.own(Use::Raced);
    if worker.came(own.post_next(target, Urgency::Now), own) != Came::Done {
        return false;
    }
    let jitter = worker.below(JITTER);
    worker.aim.wait(jitter);
    let due = own.due.get();
    let second = if with_post { own.post_next(target, Urgency::Now) } else { own.cancel() };
    worker.came(second, own);
    // Told Busy, or the run removed.
    worker.aim.learn(if with_post { own.due.get() == due } else { second == Outcome::Refused });
    let settled = settles(worker);
    if settled {
        worker.check_seen(own);
    }
    settled
}

/// Waits until every run that is due has ended, for a while, and serves its own queue meanwhile.
fn settles<R: Rig>(worker: &mut Worker<R>) -> bool {
    let own = worker.poster.own(Use::Raced);
    (0..LOOKS_MAX).any(|look| {
        worker.soak.rig.pause();
        if look % 64 == 63 && worker.is_online() {
            worker.poll();
        }
        own.is_settled()
    })
}
