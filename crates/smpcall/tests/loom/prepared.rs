//! What a port may rely on besides the calls: a ring sees what its target prepared before it rested or came online, a
//! wake-up what its caller prepared before it parked.

use crate::port::{model, model_parking};
use smpcall::Posted;

/// P7: whoever replaces `IDLE` has read it from the flush that put it there, and sees what that CPU wrote before. Bounds:
/// one push. Leaves out what a CPU prepares while it rests already: nothing publishes that.
#[test]
fn the_ring_sees_what_was_prepared_before_the_rest() {
    model(|m| {
        let (first, second) = (m.csd(|| ()), m.csd(|| ()));
        m.post(1, first).unwrap();
        m.platform().watched.add();
        let poster = m.thread(None, move || m.post(1, second));
        m.platform().prepared.set(1);
        let _ = m.answer(1);
        assert_eq!(poster.join().unwrap(), Ok(Posted::Queued));
        assert_eq!(m.platform().missing.get(), 0, "the ring came from an IDLE that the flush put there");
    });
}

/// P7: whoever rings what somebody else owes has read the debt, which came after the rest, and sees the same. Bounds: one push whose
/// ring fails, and one who pays.
#[test]
fn the_ring_that_was_owed_sees_what_was_prepared_before_the_rest() {
    model(|m| {
        let (first, second) = (m.csd(|| ()), m.csd(|| ()));
        m.post(1, first).unwrap();
        m.platform().watched.add();
        m.platform().rings_to_fail.set(1);
        let poster = m.thread(None, move || m.post(1, second));
        let payer = m.thread(None, move || m.ring_owed());
        m.platform().prepared.set(1);
        let _ = m.answer(1);
        assert_eq!((poster.join().unwrap(), payer.join().unwrap()), (Ok(Posted::Queued), 0));
        assert_eq!(m.platform().missing.get(), 0, "the debt was of an IDLE that the flush put there");
    });
}

/// P7: the same for a CPU that comes online.
#[test]
fn the_ring_sees_what_was_prepared_before_coming_online() {
    model(|m| {
        let csd = m.csd(|| ());
        let _ = m.on(1, || m.offline()).unwrap();
        m.platform().watched.add();
        let poster = m.thread(None, move || m.post(1, csd));
        m.platform().prepared.set(1);
        m.on(1, || m.come_online()).unwrap();
        let accepted = poster.join().unwrap().is_ok();
        assert_eq!((m.rings(1), m.platform().missing.get()), (u32::from(accepted), 0));
    });
}

/// P4: whoever sees `PARKED`, and wakes, also sees what the caller wrote before it parked. Bounds: one call.
#[test]
fn the_wake_up_sees_what_was_prepared_before_the_park() {
    model_parking(|m| {
        let runs = m.tally();
        m.platform().watched.add();
        let caller = m.thread(None, move || m.call(1, || runs.add()));
        m.answer_until(1, || runs.get() == 1);
        assert_eq!(caller.join().unwrap(), Ok(()));
        assert_eq!(m.platform().missing.get(), 0);
    });
}
