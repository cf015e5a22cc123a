//! Kinds that post and go on.

use super::super::csds::{Function, Outcome, Urgency};
use super::super::ground::Ground;
use super::super::interrupt;
use super::super::tally::{Check, Event};
use super::super::words::Plain;
use super::super::worker::Worker;
use smpcall_host::smpcall::{Coalesced, Csd, PostError, Posted};
use std::sync::Arc;

/// The longest chain.
const CHAIN_MAX: usize = 16;

/// One csd of its own, to any CPU.
pub(super) fn post(worker: &mut Worker) {
    let target = worker.partner();
    let sender = &worker.kit.sender;
    let Some(own) = sender.free().next() else { return };
    worker.check_seen(own);
    let posted = own.post(target, sender.number());
    worker.complain_if_wrong(posted, own, target);
}

/// Several in one chain.
pub(super) fn chain(worker: &mut Worker) {
    let target = worker.partner();
    let len = worker.rng.usize(1..=CHAIN_MAX);
    let sender = &worker.kit.sender;
    let owns: Vec<_> = sender.free().take(len).collect();
    for own in &owns {
        worker.check_seen(own);
        own.write(target, sender.number());
    }
    let answer = worker.ground().machine.post_all(target, owns.iter().map(|own| own.csd));
    let right = match answer {
        Ok(chain) => {
            owns.iter().for_each(|own| own.is_due());
            chain.queued as usize == owns.len() && chain.busy == 0 && chain.cancelled == 0
        }
        Err(error) => {
            worker.event(Event::Offline);
            error == PostError::Offline { coalesced: Coalesced::No }
        }
    };
    worker.expect(Check::Answer, right, || {
        format!("a chain of {} free csds for CPU {target} was told {answer:?}", owns.len())
    });
}

/// A counted csd: dropped here, and freed by its run, or by the refusal.
pub(super) fn counted(worker: &mut Worker) {
    struct Freed(&'static Ground);
    impl Drop for Freed {
        fn drop(&mut self) {
            self.0.counted.freed.add(1);
        }
    }
    let (ground, target) = (worker.ground(), worker.partner());
    ground.counted.made.add(1);
    let freed = Freed(ground);
    let data = Arc::new(Plain::default());
    let read = Arc::clone(&data);
    let function: Function = Box::new(move || {
        let _inside = freed.0.begin(Some(target));
        freed.0.tally.expect(target as usize, Check::Seen, read.read() > 0, || {
            "a counted csd's run did not see what its poster wrote".to_owned()
        });
        freed.0.counted.ended.add(1);
    });
    let csd = Arc::new(Csd::new(function));
    // Two posts in a row: the second is told Busy, or the first has been let go of.
    for number in 1..=2 {
        data.write(number);
        match ground.machine.post(target, &csd) {
            Ok(Posted::Queued) => {
                worker.event(Event::Post);
                ground.counted.due.add(1);
            }
            Ok(Posted::Busy { cpu }) => {
                worker.event(Event::Busy);
                worker.expect(Check::Answer, cpu == target && number == 2, || {
                    format!("a counted csd that CPU {target} was sent is said to be busy on CPU {cpu}")
                });
            }
            Err(PostError::Offline { coalesced: Coalesced::No }) => worker.event(Event::Offline),
            Err(error) => worker.wrong(format!("a counted csd, posted by one thread: {error}")),
        }
    }
}

/// The csd of some CPU that everybody posts.
pub(super) fn shared(worker: &mut Worker) {
    let target = worker.partner();
    let shared = &worker.world.shared[target as usize];
    let (posted, value) = shared.post(worker.kit.sender.row, Urgency::Now);
    match posted {
        Outcome::Wrong => worker.wrong(format!("a shared csd of CPU {target} is busy elsewhere")),
        // With hotplug the promised run can be taken away, and whoever owes it may still be about to pay.
        Outcome::Due if !worker.hotplug && worker.may_wait && worker.rng.u8(..) < 16 => {
            worker.kit.with.set(u64::from(target) + 1);
            let waited = worker.ground().machine.wait(shared.csd);
            worker.kit.with.set(0);
            let seen = shared.body.seen.read();
            worker.expect(Check::Deadlock, waited.is_ok(), || format!("a wait was refused: {waited:?}"));
            worker.expect(Check::Seen, seen >= value, || {
                format!("post {value} of a shared csd for CPU {target} was promised a run, but only {seen} was seen")
            });
        }
        _ => {}
    }
}

/// A csd that is posted to any CPU, or cancelled.
pub(super) fn contested(worker: &mut Worker) {
    let which = worker.rng.usize(..worker.world.contested.len());
    let contested = &worker.world.contested[which];
    for _ in 0..worker.rng.u32(1..4) {
        let target = worker.partner();
        if contested.post(worker.kit.sender.row, target) == Outcome::Wrong {
            worker.wrong(format!("a contested csd for CPU {target} was refused where it must not be"));
        }
        if worker.rng.bool() {
            contested.cancel(worker.kit.sender.row);
        }
    }
}

/// A csd of its own, cancelled, and sometimes posted again while it is still linked.
pub(super) fn cancel(worker: &mut Worker) {
    let own = &worker.kit.cancelled;
    if !own.is_settled() {
        return;
    }
    let target = worker.partner();
    for _ in 0..worker.rng.u32(1..4) {
        let posted = own.post_next(target);
        worker.complain_if_wrong(posted, own, target);
        worker.linger();
        let cancelled = own.cancel();
        worker.complain_if_wrong(cancelled, own, target);
        if cancelled == Outcome::Refused && own.is_settled() && worker.rng.u8(..) < 32 {
            // To another CPU meanwhile: accepted, or told which CPU has not let go of it yet.
            let elsewhere = worker.partner();
            let posted = own.post_next(elsewhere);
            worker.complain_if_wrong(posted, own, elsewhere);
            break;
        }
    }
}

/// A csd that posts itself a few times from inside.
pub(super) fn relay(worker: &mut Worker) {
    let (target, times) = (worker.partner(), worker.rng.u64(1..8));
    worker.kit.relay.start(worker.kit.sender.row, target, times);
}

/// A signal to some CPU's thread, whose handler posts.
pub(super) fn interrupt(worker: &mut Worker) {
    let target = worker.partner();
    interrupt::send(worker.world, target);
}

/// A few detached calls to one CPU, or until there is no room.
pub(super) fn detached(worker: &mut Worker) {
    let target = worker.partner();
    for _ in 0..worker.rng.u32(1..6) {
        if !worker.kit.detached.post(target) {
            break;
        }
    }
}

/// Lazy posts, of a csd of its own and of one that everybody posts. Each is expedited before the thread goes on: whatever is
/// lazy may otherwise be left when everything is at rest.
pub(super) fn lazy(worker: &mut Worker) {
    let (target, row) = (worker.partner(), worker.kit.sender.row);
    let shared = &worker.world.shared[target as usize];
    if shared.post(row, Urgency::Lazy).0 == Outcome::Wrong {
        worker.wrong(format!("a lazy post of a shared csd of CPU {target} is busy elsewhere"));
    }
    let own = &worker.kit.lazy;
    if own.is_settled() {
        worker.check_seen(own);
        let posted = own.post_lazily(target);
        worker.complain_if_wrong(posted, own, target);
        worker.linger();
        let expedited = own.post_next(target);
        worker.complain_if_wrong(expedited, own, target);
    }
    worker.linger();
    if shared.post(row, Urgency::Now).0 == Outcome::Wrong {
        worker.wrong(format!("a shared csd of CPU {target} is busy elsewhere"));
    }
}
