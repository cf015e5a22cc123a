//! Kinds that post and go on.

use super::Came;
use crate::soak::entries::{Outcome, Urgency};
use crate::soak::rig::Source;
use crate::soak::shared_state::{Poster, Use};
use crate::soak::tally::{Check, Event};
use crate::soak::{Rig, Worker};
use smpcall::{Cancel, Coalesced, DetachedError, Here, NotSent, PostError, TakeError};

/// The longest chain.
const CHAIN_MAX: u32 = 16;

/// One csd of its own, to any CPU.
pub(super) fn post<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (target, sender) = (worker.partner(), &worker.poster.sender);
    let Some(own) = sender.free().next() else { return Came::Refused };
    worker.check_seen(own);
    worker.came(own.post(target, sender.number(), Urgency::Now), own)
}

/// Several in one chain.
pub(super) fn chain<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (target, sender) = (worker.partner(), &worker.poster.sender);
    let len = 1 + worker.below(CHAIN_MAX);
    // A bit for each that takes part: that it is settled is asked once.
    let (mut chosen, mut links) = (0_usize, 0);
    for (at, own) in sender.ordered.iter().enumerate() {
        if links < len && own.is_settled() {
            worker.check_seen(own);
            own.write(target, sender.number());
            chosen |= 1 << at;
            links += 1;
        }
    }
    let owns = || (0..).zip(sender.ordered).filter(|(at, _)| chosen >> at & 1 != 0).map(|(_, own)| own);
    let answer = worker.soak.smp().post_all(target, owns());
    let right = match answer {
        Ok(chain) => {
            owns().for_each(|own| own.is_due());
            chain.queued == links && chain.busy == 0 && chain.cancelled == 0
        }
        Err(error) => {
            worker.event(Event::Offline);
            error == PostError::Offline { coalesced: Coalesced::No }
        }
    };
    worker.expect(
        Check::Answer,
        right,
        format_args!("a chain of {links} free csds for CPU {target} was told {answer:?}"),
    );
    if answer.is_ok() && links > 0 { Came::Done } else { Came::Refused }
}

/// A counted owner: dropped here, and freed by its run, or by the refusal.
#[cfg(not(feature = "alloc"))]
pub(super) fn counted<R: Rig>(_worker: &mut Worker<R>) -> Came {
    Came::NotHere
}

#[cfg(feature = "alloc")]
pub(super) use self::parcel::counted;

#[cfg(feature = "alloc")]
mod parcel {
    use super::*;
    use crate::soak::Soak;
    use crate::soak::words::Plain;
    use alloc::sync::Arc;
    use smpcall::{CsdField, CsdOwner, Lent, Posted, csd_field};

    struct Parcel<R: Rig> {
        csd: CsdField,
        soak: &'static Soak<R>,
        poster: &'static Poster<R>,
        target: u32,
        data: Plain,
    }

    csd_field! { impl{R: Rig} Parcel<R> { csd } }

    impl<R: Rig> CsdOwner for Parcel<R> {
        type Pointer = Lent;

        fn run(this: &Self, here: Here<'_>) {
            let seen = this.data.read();
            this.soak.expect(
                here.cpu() as usize,
                Check::Seen,
                seen > 0,
                format_args!("a counted csd's run did not see what its poster wrote"),
            );
            this.poster.own(Use::Counted).run_kept(Some(this.target), seen);
        }
    }

    impl<R: Rig> Drop for Parcel<R> {
        fn drop(&mut self) {
            self.poster.freed.add(1);
        }
    }

    /// A counted owner: dropped here, and freed by its run, or by the refusal.
    pub(in super::super) fn counted<R: Rig>(worker: &mut Worker<R>) -> Came {
        let (soak, poster, target) = (worker.soak, worker.poster, worker.partner());
        poster.made.add(1);
        let data = Plain::new(0);
        let parcel = Arc::new(Parcel { csd: CsdField::new(), soak, poster, target, data });
        let mut came = Came::Refused;
        // Two posts in a row: the second is told Busy, or the first has been let go of.
        for number in 1..=2 {
            parcel.data.write(number);
            match soak.smp().post(target, &parcel) {
                Ok(Posted::Queued) => {
                    poster.own(Use::Counted).add_due(1);
                    came = Came::Done;
                }
                Ok(Posted::Busy { cpu }) => {
                    worker.event(Event::Busy);
                    let right = cpu == target && number == 2;
                    worker.expect(
                        Check::Answer,
                        right,
                        format_args!("a counted csd that CPU {target} was sent is busy on CPU {cpu}"),
                    );
                }
                Err(PostError::Offline { coalesced: Coalesced::No }) => worker.event(Event::Offline),
                Err(error) => {
                    worker.expect(
                        Check::Answer,
                        false,
                        format_args!("a counted csd, posted by one thread: {error}"),
                    );
                }
            }
        }
        came
    }
}

/// A csd that everybody posts: that of some CPU, or one that is posted to any.
pub(super) fn shared<R: Rig>(worker: &mut Worker<R>) -> Came {
    let target = worker.partner();
    let all = worker.soak.shared_state().shared;
    let roaming = &all[worker.soak.cpus_len() as usize..];
    let shared = match worker.one_in(4) {
        true => &roaming[worker.below(roaming.len() as u32) as usize],
        false => &all[target as usize],
    };
    let (posted, value) = shared.post_shared(worker.poster.sender.row, target, Urgency::Now);
    let came = worker.came(posted, shared);
    // With hotplug the promised run can be taken away, and whoever owes it may still be about to pay.
    let waits = came == Came::Done && !worker.soak.shared_state().plan.hotplug && worker.may_wait;
    if waits && worker.one_in(16) {
        worker.poster.with.set(target as usize + 1);
        let waited = shared.wait(None);
        worker.poster.with.set(0);
        let seen = shared.seen.read();
        worker.expect(Check::Deadlock, waited.is_ok(), format_args!("a wait was refused: {waited:?}"));
        worker.expect(
            Check::Seen,
            seen >= value || shared.target().is_none(),
            format_args!(
                "post {value} of a shared csd for CPU {target} was promised a run, but only {seen} was seen"
            ),
        );
    }
    came
}

/// A csd that is posted to any CPU, or cancelled.
pub(super) fn contested<R: Rig>(worker: &mut Worker<R>) -> Came {
    let all = worker.soak.shared_state().contested;
    let contested = &all[worker.below(all.len() as u32) as usize];
    let (row, mut came) = (worker.poster.sender.row, Came::Refused);
    for _ in 0..=worker.below(3) {
        let target = worker.partner();
        if worker.came(contested.post_shared(row, target, Urgency::Now).0, contested) == Came::Done {
            came = Came::Done;
        }
        if worker.one_in(2) {
            contested.cancel_shared(row);
        }
    }
    came
}

/// A csd of its own, cancelled, and sometimes posted again while it is still linked.
pub(super) fn cancel<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (own, target) = (worker.poster.own(Use::Cancelled), worker.partner());
    if !own.is_settled() {
        return Came::Refused;
    }
    let mut came = Came::Refused;
    for _ in 0..=worker.below(3) {
        if worker.came(own.post_next(target, Urgency::Now), own) == Came::Done {
            came = Came::Done;
        }
        worker.linger();
        let cancelled = own.cancel();
        worker.came(cancelled, own);
        if cancelled == Outcome::Refused && own.is_settled() && worker.one_in(8) {
            // To another CPU meanwhile: accepted, or told which CPU has not let go of it yet.
            let elsewhere = worker.partner();
            worker.came(own.post_next(elsewhere, Urgency::Now), own);
            break;
        }
    }
    came
}

/// Lazy posts, of a csd of its own and of one that everybody posts. Each is expedited before the thread goes on: whatever is
/// lazy may otherwise be left when everything is at rest.
pub(super) fn lazy<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (target, row) = (worker.partner(), worker.poster.sender.row);
    let shared = &worker.soak.shared_state().shared[target as usize];
    worker.came(shared.post_shared(row, target, Urgency::Lazy).0, shared);
    let own = worker.poster.own(Use::Lazy);
    if own.is_settled() {
        worker.check_seen(own);
        worker.came(own.post_next(target, Urgency::Lazy), own);
        worker.linger();
        worker.came(own.post_next(target, Urgency::Now), own);
    }
    worker.linger();
    worker.came(shared.post_shared(row, target, Urgency::Now).0, shared)
}

/// A few detached calls to one CPU, or until there is no room.
pub(super) fn detached<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (target, kept) = (worker.partner(), worker.poster.own(Use::Detached));
    let mut came = Came::Refused;
    for _ in 0..=worker.below(5) {
        let number = kept.next_kept();
        let answer = worker.soak.smp().post_detached(target, move || kept.run_kept(Some(target), number));
        let known = answer != Err(DetachedError::NoSuchCpu);
        worker.expect(Check::Answer, known, format_args!("CPU {target} is said not to be there"));
        match answer {
            Ok(()) => {
                kept.add_due(1);
                came = Came::Done;
                continue;
            }
            Err(DetachedError::Full) => worker.event(Event::Busy),
            Err(_) => worker.event(Event::Offline),
        }
        break;
    }
    came
}

/// A csd that posts itself a few times from inside.
pub(super) fn relay<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (target, times) = (worker.partner(), 1 + worker.below(7));
    match worker.poster.own(Use::Relay).start(target, times as usize) {
        Outcome::Due => Came::Done,
        _ => Came::Refused,
    }
}

/// An interrupt whose handler posts, on some CPU.
pub(super) fn interrupt<R: Rig>(worker: &mut Worker<R>) -> Came {
    let target = worker.partner();
    worker.soak.rig.raise(worker.soak, Source::Interrupt, target)
}

/// What cannot be masked, on the thread's own CPU.
pub(super) fn nmi<R: Rig>(worker: &mut Worker<R>) -> Came {
    match worker.poster.cpu {
        Some(cpu) => worker.soak.rig.raise(worker.soak, Source::Nmi, cpu),
        None => Came::NotHere,
    }
}

/// What a message carries.
pub(in crate::soak) struct Letter<R: Rig> {
    poster: &'static Poster<R>,
    target: u32,
    number: usize,
}

/// What a message's function makes of it.
pub(in crate::soak) fn read_letter<R: Rig>(letter: Letter<R>, _here: Here<'_>) -> usize {
    letter.poster.own(Use::Letters).run_kept(Some(letter.target), letter.number);
    letter.number * 3
}

/// Takes the result of the last message, which is the sender's own, and sends the next; now and then that is taken back.
pub(super) fn message<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (smp, poster, target) = (worker.soak.smp(), worker.poster, worker.partner());
    let (message, kept) = (&poster.message, poster.own(Use::Letters));
    let sent = poster.letter.read();
    let right = match message.try_take() {
        Ok(result) => result == sent * 3,
        Err(TakeError::Cancelled(letter)) => letter.number == sent,
        // Of a message that has ended it must be there.
        Err(TakeError::Empty) => sent == 0,
        Err(TakeError::Pending) => return Came::Refused,
        Err(_) => false,
    };
    worker.expect(Check::Done, right, format_args!("message {sent} did not bring back its result"));
    let number = kept.next_kept();
    poster.letter.write(number);
    match smp.send(target, message, Letter { poster, target, number }) {
        Ok(()) => kept.add_due(1),
        Err(refused) => {
            poster.letter.write(0);
            worker.event(Event::Offline);
            let right = refused.why == NotSent::Offline && refused.value.number == number;
            worker.expect(
                Check::Answer,
                right,
                format_args!("an empty message was refused: {}", refused.why),
            );
            return Came::Refused;
        }
    }
    if worker.one_in(8) && matches!(message.cancel(), Cancel::Removed { .. }) {
        worker.event(Event::Cancelled);
        kept.due.take_back(1);
    }
    if worker.may_wait && worker.one_in(4) {
        let answer = smp.receive(message);
        poster.letter.write(0);
        let right = match &answer {
            Ok(result) => *result == number * 3,
            Err(smpcall::ReceiveError::Take(TakeError::Cancelled(letter))) => letter.number == number,
            Err(_) => false,
        };
        worker.expect(
            Check::Done,
            right,
            format_args!("message {number} to CPU {target} was received wrongly"),
        );
    }
    Came::Done
}
