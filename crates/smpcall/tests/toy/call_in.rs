//! Calls and multicasts that need nothing of the caller's stack.

use crate::port::{OwnCpu, as_cpu, budget, flush, log, logged, machine, on, rings, start};
use smpcall::{CallError, CallInError, CallSlot, ManyError, To};
use std::rc::Rc;

fn serve_while_waiting(cpu: u32) {
    *machine().platform().on_pause.borrow_mut() = Some(Rc::new(move || _ = flush(cpu)));
}

#[test]
fn p4_the_result_comes_back_by_way_of_the_slot() {
    static SLOT: CallSlot<4> = CallSlot::new();
    let machine = start(2);
    serve_while_waiting(1);
    let mut came = Vec::new();
    for number in 0..3_u64 {
        let big = [number; 3];
        came.push(on(0, || machine.call_in(&SLOT, 1, move || big.map(|word| word + 10))));
    }
    assert_eq!(came, [Ok([10; 3]), Ok([11; 3]), Ok([12; 3])]);
    assert_eq!(as_cpu(None, || machine.call_in(&SLOT, 1, || "from no CPU")), Ok("from no CPU"));
}

#[test]
fn p13_a_slot_holds_one_call() {
    static SLOT: CallSlot = CallSlot::new();
    let machine = start(3);
    // While CPU 0 waits for CPU 1, CPU 2 comes by with the same slot, and then with one of its own.
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| {
        static OTHER: CallSlot = CallSlot::new();
        let machine = crate::port::machine();
        let hook = machine.platform().on_pause.take();
        assert_eq!(on(2, || machine.call_in(&SLOT, 1, || log(9))), Err(CallInError::SlotInUse));
        *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = flush(1)));
        assert_eq!(on(2, || machine.call_in(&OTHER, 1, || log(2))), Ok(()));
        *machine.platform().on_pause.borrow_mut() = hook;
    }));
    assert_eq!(on(0, || machine.call_in(&SLOT, 1, || log(1))), Ok(()));
    assert_eq!(logged(), [1, 2], "in order (P6), and none of who was refused");
}

#[test]
fn p8_who_is_refused_gives_function_and_slot_back() {
    static SLOT: CallSlot = CallSlot::new();
    struct Dropped(u32);
    impl Drop for Dropped {
        fn drop(&mut self) {
            log(self.0);
        }
    }
    let machine = start(2);
    on(1, || machine.offline()).unwrap();
    let (first, second) = (Dropped(1), Dropped(2));
    assert_eq!(
        on(0, || machine.call_in(&SLOT, 1, move || drop(first))),
        Err(CallInError::Call(CallError::Offline))
    );
    assert_eq!(
        on(0, || machine.call_in(&SLOT, 77, move || drop(second))),
        Err(CallInError::Call(CallError::NoSuchCpu))
    );
    assert_eq!(logged(), [1, 2]);
    serve_while_waiting(0);
    assert_eq!(as_cpu(None, || machine.call_in(&SLOT, 0, || 3)), Ok(3), "the slot is free");
}

#[test]
fn p10_where_a_call_would_deadlock_so_would_this() {
    static SLOT: CallSlot = CallSlot::new();
    let machine = start(2);
    let csd = crate::port::csd(|| {
        let machine = crate::port::machine();
        let refused = machine.call_in(&SLOT, 1, || log(9));
        assert_eq!(refused, Err(CallInError::Call(CallError::WouldDeadlock)));
        assert_eq!(machine.call_in(&SLOT, 0, || log(1)), Ok(()), "its own CPU, inline");
        let refused = machine.call_many_copied(To::Others, || log(9));
        assert_eq!(refused, Err(ManyError::WouldDeadlock));
        log(2);
    });
    machine.post(0, csd).unwrap();
    let _ = on(0, || machine.flush(budget(1)));
    assert_eq!(logged(), [1, 2]);
}

#[test]
fn p4_a_copied_multicast_returns_when_all_have_run() {
    let machine = start(3);
    *machine.platform().on_pause.borrow_mut() =
        Some(Rc::new(|| [1, 2].into_iter().for_each(|cpu| _ = flush(cpu))));
    let add = 5_u32;
    let function = move || log(add + crate::port::machine().platform().cpu.get().unwrap());
    let reached = on(0, || machine.call_many_copied(To::All, function)).unwrap();
    assert_eq!((reached.ran, reached.offline), (3, 1));
    let mut ran = logged();
    ran.sort_unstable();
    assert_eq!((ran, rings()), (vec![5, 6, 7], vec![1, 2]));
    let mut none = |_| false;
    let reached = on(0, || machine.call_many_copied(To::If(&mut none), || log(9))).unwrap();
    assert_eq!((reached.ran, reached.offline, logged()), (0, 0, vec![]));
}

/// The caller's own part panics: the others have run when it does.
#[test]
fn p11_a_panic_of_ones_own_part_comes_after_all_have_run() {
    let machine = start(2);
    serve_while_waiting(1);
    let function = || {
        let cpu = crate::port::machine().platform().cpu.get().unwrap();
        assert_ne!(cpu, 0, "the caller's part");
        log(cpu);
    };
    let call = || on(0, || machine.call_many_copied(To::All, function));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("the caller's part"));
    assert_eq!(logged(), [1]);
}
