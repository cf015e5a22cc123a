//! P4, P11: a message's content, which the models' own cells guard, against each step of its stage.

use crate::port::{Machine, model};
use smpcall::{Cancel, Message, NotSent, SendError, TakeError};
use std::mem::ManuallyDrop;

type Add = Message<u32, u32>;

/// It is kept beyond its execution, in which alone loom lets its stage be looked at: so it is not dropped.
fn add(m: &'static Machine<false>) -> &'static Add {
    let kept: &ManuallyDrop<Add> = m.keep(ManuallyDrop::new(Add::new(|value, _| value + 1)));
    kept
}

/// P4: a look for the answer against the run. If it finds that the run has ended, it finds the whole answer. Bounds: one send,
/// one look while the run may be under way.
#[test]
fn an_answer_that_is_there_is_whole() {
    model(|m| {
        let message = add(m);
        m.send(1, message, 4).unwrap();
        let target = m.thread(None, move || _ = m.answer(1));
        let early = message.try_take();
        target.join().unwrap();
        match early {
            Ok(answer) => assert_eq!((answer, message.try_take()), (5, Err(TakeError::Empty))),
            early => {
                assert_eq!(early, Err(TakeError::Pending));
                assert_eq!(message.try_take(), Ok(5));
            }
        }
    });
}

/// P11: the next value against who takes the last answer: it is not written over what is still read. Bounds: one of each.
#[test]
fn a_value_is_not_written_over_an_answer_that_is_being_taken() {
    model(|m| {
        let message = add(m);
        m.send(1, message, 4).unwrap();
        let _ = m.answer(1);
        let taker = m.thread(None, move || message.try_take());
        let sent = m.send(1, message, 8);
        assert_eq!(taker.join().unwrap(), Ok(5));
        if let Err(refused) = sent {
            m.send(1, message, refused.value).unwrap();
        }
        m.finish(1);
        assert_eq!(message.try_take(), Ok(9));
    });
}

/// P1: cancel against the run: one answer, or the value back, and never both. Bounds: one send.
#[test]
fn a_cancelled_value_comes_back_or_is_answered() {
    model(|m| {
        let message = add(m);
        m.send(1, message, 4).unwrap();
        let target = m.thread(None, move || _ = m.answer(1));
        let cancelled = matches!(message.cancel(), Cancel::Removed { .. });
        let early = message.try_take();
        target.join().unwrap();
        let taken = if early == Err(TakeError::Pending) { message.try_take() } else { early };
        assert_eq!(taken, if cancelled { Err(TakeError::Cancelled(4)) } else { Ok(5) });
        assert_eq!(message.try_take(), Err(TakeError::Empty));
    });
}

/// P3: two senders of one message: one wins, and the other has its value back. Bounds: one send each, no run meanwhile.
#[test]
fn two_senders_one_wins() {
    model(|m| {
        let message = add(m);
        let other = m.thread(None, move || m.send(1, message, 10).map_err(|error| error.value));
        let ours = m.send(1, message, 20).map_err(|error| error.value);
        let won = match (ours, other.join().unwrap()) {
            (Ok(()), Err(10)) => 20,
            (Err(20), Ok(())) => 10,
            both => panic!("{both:?}"),
        };
        m.finish(1);
        assert_eq!(message.try_take(), Ok(won + 1));
    });
}

/// P4, P11: of two who look for one answer, one has it. Bounds: the run has ended; one look each.
#[test]
fn two_takers_one_has_the_answer() {
    model(|m| {
        let message = add(m);
        m.send(1, message, 4).unwrap();
        let _ = m.answer(1);
        let other = m.thread(None, move || message.try_take());
        let mut taken = [message.try_take(), other.join().unwrap()];
        taken.sort_by_key(Result::is_err);
        assert_eq!(taken, [Ok(5), Err(TakeError::Empty)]);
    });
}

/// P8: a send against its target's way offline: the value is answered, or it is back with its sender and the message is empty.
/// Bounds: one send, one look of a taker meanwhile.
#[test]
fn a_value_is_answered_or_refused_and_back() {
    model(|m| {
        let message = add(m);
        let sender = m.thread(None, move || m.send(1, message, 4));
        m.on(1, || m.offline()).unwrap();
        let early = message.try_take();
        let taken = match sender.join().unwrap() {
            Ok(()) if early == Ok(5) => early,
            Ok(()) => message.try_take(),
            refused => {
                assert_eq!(refused, Err(SendError { value: 4, why: NotSent::Offline }));
                assert!(matches!(early, Err(TakeError::Empty | TakeError::Pending)));
                assert_eq!(message.try_take(), Err(TakeError::Empty));
                m.send(0, message, 4).unwrap();
                m.finish(0);
                message.try_take()
            }
        };
        assert_eq!(taken, Ok(5));
    });
}
