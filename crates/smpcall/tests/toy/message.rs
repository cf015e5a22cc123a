//! Messages: a value there and one back, with one owner at a time.

use crate::port::{OwnCpu, flush, keep, log, logged, machine, on, start};
use smpcall::{Cancel, Coalesced, Here, Message, NotSent, ReceiveError, SendError, TakeError, WaitError};
use std::rc::Rc;

/// Counts as dropped by logging its number.
#[cfg(feature = "alloc")]
#[derive(Debug, PartialEq)]
struct Value(u32);

#[cfg(feature = "alloc")]
impl Drop for Value {
    fn drop(&mut self) {
        log(self.0);
    }
}

fn twice() -> &'static Message<Box<u32>, Box<u32>> {
    keep(Message::new(|value: Box<u32>, here: Here<'_>| {
        assert_eq!(Some(here.cpu()), machine().platform().cpu.get());
        Box::new(*value * 2)
    }))
}

#[test]
fn a_value_goes_there_and_one_comes_back() {
    let machine = start(2);
    let message = twice();
    for round in 1..4 {
        machine.send(1, message, Box::new(round)).unwrap();
        assert_eq!(message.try_take(), Err(TakeError::Pending));
        let _ = flush(1);
        assert!(!message.is_pending());
        assert_eq!(message.try_take(), Ok(Box::new(round * 2)));
        assert_eq!(message.try_take(), Err(TakeError::Empty));
    }
}

#[test]
fn it_has_one_value_at_a_time() {
    let machine = start(2);
    let message = twice();
    machine.send(1, message, Box::new(1)).unwrap();
    let pending = Err(SendError { value: Box::new(5), why: NotSent::Pending });
    assert_eq!(machine.send(0, message, Box::new(5)), pending);
    let _ = flush(1);
    let unread = Err(SendError { value: Box::new(5), why: NotSent::Unread });
    assert_eq!(machine.send(0, message, Box::new(5)), unread);
    assert_eq!(machine.receive(message), Ok(Box::new(2)));
}

#[test]
fn p8_a_refused_value_comes_back() {
    let machine = start(2);
    let message = twice();
    let offline = Err(SendError { value: Box::new(5), why: NotSent::Offline });
    assert_eq!(machine.send(3, message, Box::new(5)), offline);
    let none = Err(SendError { value: Box::new(5), why: NotSent::NoSuchCpu });
    assert_eq!(machine.send(9, message, Box::new(5)), none);
    // Refused at the push, after the claim.
    let hook = move || {
        let pending = Err(TakeError::Pending);
        assert_eq!(message.try_take(), pending);
        on(1, || crate::port::machine().offline()).unwrap();
        // Until the sender has it back, it is nobody else's.
        let interrupt = move || {
            assert_eq!(message.try_take(), Err(TakeError::Pending));
            log(1);
        };
        crate::port::machine().platform().on_restore.replace(Some(Box::new(interrupt)));
    };
    machine.platform().on_save.replace(Some(Box::new(hook)));
    assert_eq!(machine.send(1, message, Box::new(5)), offline);
    assert_eq!(logged(), [1]);
    assert_eq!(message.try_take(), Err(TakeError::Empty));
    machine.send(0, message, Box::new(6)).unwrap();
    let _ = flush(0);
    assert_eq!(message.try_take(), Ok(Box::new(12)));
}

#[test]
fn a_cancelled_value_comes_back_when_its_target_has_let_go_of_it() {
    let machine = start(1);
    let message = twice();
    machine.send(0, message, Box::new(5)).unwrap();
    assert_eq!(message.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    assert_eq!(message.try_take(), Err(TakeError::Pending));
    let _ = flush(0);
    assert!(machine.send(0, message, Box::new(6)).is_err());
    assert_eq!(machine.receive(message), Err(ReceiveError::Take(TakeError::Cancelled(Box::new(5)))));
    machine.send(0, message, Box::new(6)).unwrap();
    let _ = flush(0);
    assert_eq!(message.try_take(), Ok(Box::new(12)));
}

#[test]
fn p11_a_panic_is_told_and_the_message_goes_on() {
    let machine = start(1);
    let message = keep(Message::<u32, u32>::new(|value, _| 10_u32.checked_sub(value).expect("meant")));
    machine.send(0, message, 11).unwrap();
    let _ = flush(0);
    assert_eq!(machine.platform().caught.get(), 1);
    assert_eq!(message.try_take(), Err(TakeError::Panicked));
    machine.send(0, message, 4).unwrap();
    let _ = flush(0);
    assert_eq!(message.try_take(), Ok(6));
}

#[test]
fn a_receiver_serves_its_queue_and_may_give_up() {
    let machine = start(2);
    let message = twice();
    machine.send(1, message, Box::new(3)).unwrap();
    let waited = on(0, || machine.receive_until(message, machine.platform().now_ns.get() + 5_000));
    let Err(ReceiveError::Wait(WaitError::TimedOut(stall))) = waited else { panic!("{waited:?}") };
    assert!(stall.to_string().contains("CPU 1"), "{stall}");
    machine.platform().on_pause.replace(Some(Rc::new(|| _ = flush(1))));
    assert_eq!(on(0, || machine.receive(message)), Ok(Box::new(6)));
}

#[test]
fn p10_a_receiver_of_what_was_not_sent_is_told_so_and_does_not_wait() {
    let machine = start(2);
    let message = twice();
    let empty = Err(ReceiveError::Take(TakeError::Empty));
    assert_eq!(machine.receive(message), empty);
    machine.send(1, message, Box::new(3)).unwrap();
    let _ = flush(1);
    assert_eq!(machine.receive(message), Ok(Box::new(6)));
    assert_eq!(machine.receive(message), empty, "it was taken");
    assert_eq!(machine.platform().now_ns.get(), 0);
}

#[test]
fn p10_a_function_may_not_wait_for_an_answer() {
    let machine = start(2);
    let message = twice();
    machine.send(1, message, Box::new(3)).unwrap();
    let refused = on(0, || machine.call(0, || crate::port::machine().receive(message).is_err()));
    assert_eq!(refused, Ok(true));
    let _ = flush(1);
    let taken = on(0, || machine.call(0, || crate::port::machine().receive(message)));
    assert_eq!(taken, Ok(Ok(Box::new(6))), "there is nothing to wait for");
}

#[cfg(feature = "alloc")]
#[test]
fn p11_each_value_is_dropped_once() {
    use std::sync::Arc;
    let machine = start(1);
    let message = Arc::new(Message::<Value, Value>::new(|value, _| Value(value.0 + 100)));
    // Sent, and its answer left in the message.
    machine.send(0, &message, Value(1)).unwrap();
    assert_eq!(Arc::strong_count(&message), 2);
    let _ = flush(0);
    assert_eq!((logged(), Arc::strong_count(&message)), (vec![1], 1));
    drop(message);
    assert_eq!(logged(), [101]);
    // Sent, cancelled, and dropped.
    let message = Arc::new(Message::<Value, Value>::new(|value, _| Value(value.0 + 100)));
    machine.send(0, &message, Value(2)).unwrap();
    let _ = message.cancel();
    drop(message);
    assert_eq!(logged(), []);
    let _ = flush(0);
    assert_eq!(logged(), [2]);
    // Never sent, and refused.
    let message = Arc::new(Message::<Value, Value>::new(|value, _| Value(value.0 + 100)));
    drop(machine.send(7, &message, Value(3)));
    assert_eq!((logged(), Arc::strong_count(&message)), (vec![3], 1));
}
