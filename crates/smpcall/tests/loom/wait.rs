//! `wait` on an asynchronous csd: it ends with the run that was pending, and shows what it wrote (P4); and who sleeps is woken.

use crate::port::{model, model_parking_within};
use smpcall::{Flushed, WaitError};

/// P4: a wait against the run. Whether it finds the csd locked, its function running, or the run over: when it ends, all
/// that the function wrote is visible. Bounds: one run.
#[test]
fn wait_sees_the_run() {
    model(|m| {
        let written = m.place();
        let csd = m.csd(move || written.write(7));
        m.post(1, csd).unwrap();
        let waiter = m.thread(None, move || {
            m.wait(csd).unwrap();
            written.read()
        });
        let _ = m.answer(1);
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

/// P4: a wait that looks only when the next csd's run has begun, and never sees the end of its own.
#[test]
fn wait_sees_the_run_when_the_next_has_begun() {
    model(|m| {
        let written = m.place();
        let csd = m.csd(move || written.write(7));
        let next = m.csd(|| ());
        m.post(1, csd).unwrap();
        m.post(1, next).unwrap();
        let waiter = m.thread(None, move || {
            m.wait(csd).unwrap();
            written.read()
        });
        let _ = m.answer(1);
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

/// P4: a wait that has begun, against a csd that is posted again meanwhile: it ends with the run that was pending, and does
/// not wait for the next. Bounds: a second post, which is flushed only when the wait is over.
#[test]
fn wait_against_reuse() {
    model(|m| {
        let (written, runs) = ([m.place(), m.place()], m.tally());
        let csd = m.csd(move || {
            written[runs.get() as usize].write(7);
            runs.add();
        });
        m.post(1, csd).unwrap();
        let waiter = m.thread(None, move || {
            m.wait(csd).unwrap();
            written[0].read()
        });
        let _ = m.answer(1);
        if m.platform().pauses.get() > 0 {
            m.post(1, csd).unwrap();
        }
        assert_eq!(waiter.join().unwrap(), 7);
        let again = u32::from(m.finish(1));
        assert_eq!(runs.get(), 1 + again);
    });
}

/// P4, P7: a waiter that goes to sleep, against the run's end. If its wake is pushed before the flush rests, that finds it; if the
/// flush rests first, nothing is pushed, and nobody sleeps. A wake that is lost is a deadlock. Bounds: one run; at most 2 preemptions.
#[test]
fn a_sleeping_waiter_is_woken_when_the_run_has_ended() {
    model_parking_within(2, |m| {
        let written = m.place();
        let csd = m.csd(move || written.write(7));
        m.post(1, csd).unwrap();
        let waiter = m.thread(None, move || {
            m.wait(csd).unwrap();
            written.read()
        });
        let _ = m.answer(1);
        assert_eq!(waiter.join().unwrap(), 7);
    });
}

/// P4: a wake that one left behind who gave up, against the next who waits: that one relies on it, or comes too late for that, and
/// claims the wake anew from the flush that lets go of it. Bounds: one flush, and no preemption but where the flush has woken.
#[test]
fn a_wake_is_used_again() {
    model_parking_within(0, |m| {
        let (port, first, second) = (m.platform(), m.csd(|| ()), m.csd(|| ()));
        m.post(1, first).unwrap();
        port.naps.set(1);
        assert!(matches!(m.wait_until(first, 1), Err(WaitError::TimedOut(_))), "after one nap");
        port.naps.set(0);
        m.post(1, second).unwrap();
        port.slow_wakes.add();
        let waiter = m.thread(None, move || m.wait(second).unwrap());
        let target = m.thread(None, move || m.answer(1));
        waiter.join().unwrap();
        assert!(matches!(target.join().unwrap(), Flushed::All(2..)));
    });
}
