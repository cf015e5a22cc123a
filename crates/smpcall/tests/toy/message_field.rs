//! Messages that their owner embeds: the function is given the owner beside the value.

use crate::port::{flush, keep, log, logged, machine, on, start};
use smpcall::{
    CsdField, CsdOwner, Here, Lent, MessageField, MessageOwner, NotSent, SendError, TakeError, csd_field,
};

#[derive(Clone, Copy)]
struct Push;

/// Two messages and a csd in one struct. Logs 100 when it is dropped.
struct Ledger {
    factor: u32,
    csd: CsdField,
    multiply: MessageField<Box<u32>, Box<u32>>,
    push: MessageField<String, usize, Push>,
}

csd_field! { impl Ledger { csd, multiply(Box<u32>) -> Box<u32>, push(String) -> usize: Push } }

impl CsdOwner for Ledger {
    type Pointer = Lent;

    fn run(this: &Self, _: Here<'_>) {
        log(this.factor);
    }
}

impl MessageOwner for Ledger {
    fn run(this: &Self, value: Box<u32>, here: Here<'_>) -> Box<u32> {
        assert_eq!(Some(here.cpu()), machine().platform().cpu.get());
        assert!(this.multiply.is_pending(), "nobody else sends it meanwhile");
        Box::new(*value * this.factor)
    }
}

impl MessageOwner<Push> for Ledger {
    fn run(_: &Self, text: String, _: Here<'_>) -> usize {
        assert!(!text.is_empty(), "meant");
        text.len()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        log(100);
    }
}

fn ledger(factor: u32) -> Ledger {
    let (csd, multiply) = (CsdField::new(), MessageField::new());
    Ledger { factor, csd, multiply, push: MessageField::default() }
}

#[test]
fn each_field_has_its_function_its_types_and_its_owner() {
    let machine = start(2);
    let ledger: &'static Ledger = keep(ledger(3));
    for round in 1..4 {
        machine.send(1, ledger, Box::new(round)).unwrap();
        machine.send(1, (ledger, Push), "x".repeat(round as usize)).unwrap();
        machine.post(1, ledger).unwrap();
        assert_eq!(ledger.multiply.try_take(), Err(TakeError::Pending), "read before it is there");
        let pending = Err(SendError { value: Box::new(9), why: NotSent::Pending });
        assert_eq!(machine.send(0, ledger, Box::new(9)), pending);
        let _ = flush(1);
        assert_eq!(machine.receive(ledger), Ok(Box::new(round * 3)));
        assert_eq!(machine.receive((ledger, Push)), Ok(round as usize));
        assert_eq!(ledger.push.try_take(), Err(TakeError::Empty));
    }
    assert_eq!(logged(), [3; 3]);
    assert_eq!(format!("{:?}", ledger.multiply), "MessageField { pending: false }");
}

#[test]
fn p10_a_report_names_the_owner() {
    let machine = start(2);
    let ledger: &'static Ledger = keep(ledger(3));
    machine.send(1, (ledger, Push), "x".to_string()).unwrap();
    let late = on(0, || machine.receive_until((ledger, Push), machine.platform().now_ns.get() + 5_000));
    let report = late.unwrap_err().to_string();
    assert!(report.contains("Ledger") && report.contains("CPU 1"), "{report}");
    let _ = flush(1);
}

#[cfg(feature = "alloc")]
mod counted {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn p11_the_queue_holds_its_owner_until_the_answer_is_in_it() {
        let machine = start(2);
        let it = Arc::new(ledger(5));
        machine.send(1, &it, Box::new(2)).unwrap();
        machine.send(0, (&it, Push), "four".to_string()).unwrap();
        assert_eq!(Arc::strong_count(&it), 3);
        let _ = flush(1);
        assert_eq!((machine.receive(&it), Arc::strong_count(&it)), (Ok(Box::new(10)), 2));
        drop(it);
        assert_eq!(logged(), []);
        let _ = flush(0);
        assert_eq!(logged(), [100], "its last count was the queue's");
    }

    #[test]
    fn p11_a_value_comes_back_with_the_count() {
        let machine = start(1);
        let it = Arc::new(ledger(5));
        let offline = Err(SendError { value: Box::new(2), why: NotSent::Offline });
        assert_eq!(machine.send(3, &it, Box::new(2)), offline);
        assert_eq!(Arc::strong_count(&it), 1);
        machine.send(0, &it, Box::new(2)).unwrap();
        assert!(matches!(it.multiply.cancel(), smpcall::Cancel::Removed { .. }));
        assert_eq!((it.multiply.try_take(), Arc::strong_count(&it)), (Err(TakeError::Pending), 2));
        let _ = flush(0);
        assert_eq!(Arc::strong_count(&it), 1);
        assert_eq!(it.multiply.try_take(), Err(TakeError::Cancelled(Box::new(2))));
    }

    #[test]
    fn p11_a_panic_gives_the_count_back_and_the_field_goes_on() {
        let machine = start(1);
        let it = Arc::new(ledger(5));
        machine.send(0, (&it, Push), String::new()).unwrap();
        let _ = flush(0);
        assert_eq!((machine.platform().caught.get(), Arc::strong_count(&it)), (1, 1));
        assert_eq!(it.push.try_take(), Err(TakeError::Panicked));
        machine.send(0, (&it, Push), "four".to_string()).unwrap();
        let _ = flush(0);
        assert_eq!(it.push.try_take(), Ok(4));
    }
}
