//! P4, P10, P11: waiting calls, and the contexts in which they are refused.

use crate::port::{as_cpu, csd, flush, log, logged, logs, on, start};
use smpcall::{Budget, CallError, Flushed, Platform, Posted, WaitError};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// While somebody waits, every other CPU of the first two flushes.
fn others_flush() {
    *crate::port::machine().platform().on_pause.borrow_mut() = Some(Rc::new(|| {
        let me = crate::port::machine().platform().cpu.get();
        for cpu in (0..2).filter(|cpu| Some(*cpu) != me) {
            let _ = flush(cpu);
        }
    }));
}

#[test]
fn p4_a_call_borrows_and_gives_back_a_result() {
    let machine = start(2);
    others_flush();
    let mut local = vec![1, 2];
    let sum = on(0, || {
        machine.call(1, || {
            local.push(3);
            local.iter().sum::<i32>()
        })
    });
    assert_eq!((sum, local), (Ok(6), vec![1, 2, 3]));
    assert_eq!(as_cpu(None, || machine.call(1, || "from no CPU")), Ok("from no CPU"));
}

#[test]
fn p4_big_and_aligned_closures_and_results() {
    #[repr(align(256))]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Big([u64; 512]);
    let machine = start(2);
    others_flush();
    let big = Big([7; 512]);
    assert_eq!(on(0, || machine.call(1, move || big)), Ok(big));
    assert_eq!(on(0, || machine.call(1, || ())), Ok(()));
}

#[test]
fn p10_a_self_call_runs_inline_in_call_context() {
    let machine = start(2);
    machine.post(0, logs(1)).unwrap();
    let result = on(0, || {
        machine.call(0, || {
            let machine = crate::port::machine();
            assert!(!machine.platform().can_wait(), "interrupts are off");
            assert_eq!(machine.flush(Budget::DEFAULT), Flushed::Nested);
            assert_eq!(machine.call(1, || ()), Err(CallError::WouldDeadlock));
            assert_eq!(machine.call(0, || 2), Ok(2), "nested, to itself");
            assert_eq!(machine.call(1, || ()), Err(CallError::WouldDeadlock), "and still in call context");
            4
        })
    });
    assert_eq!((result, logged()), (Ok(4), vec![]), "it does not run what is queued");
    assert_eq!(flush(0), Flushed::All(1), "call context is left");
    others_flush();
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5));
}

#[test]
fn p11_a_self_call_that_panics_leaves_call_context() {
    let machine = start(2);
    others_flush();
    let calls = || {
        on(0, || machine.call(0, || panic!("meant"))).unwrap();
    };
    let panic = catch_unwind(AssertUnwindSafe(calls)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"meant"));
    assert!(on(0, || machine.platform().can_wait()));
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5));
    // The same inside a function: that one is still in call context afterwards.
    let inside = csd(|| {
        let machine = crate::port::machine();
        catch_unwind(AssertUnwindSafe(|| machine.call(0, || panic!("meant")))).unwrap_err();
        assert_eq!(machine.call(1, || ()), Err(CallError::WouldDeadlock));
        log(1);
    });
    machine.post(0, inside).unwrap();
    let _ = flush(0);
    assert_eq!(logged(), [1]);
}

#[test]
fn p11_a_panic_comes_back_to_the_waiting_caller() {
    let machine = start(2);
    others_flush();
    let calls = || {
        on(0, || machine.call(1, || -> u32 { std::panic::panic_any(42_u64) })).unwrap();
    };
    let panic = catch_unwind(AssertUnwindSafe(calls)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&42_u64));
    assert_eq!(machine.platform().caught.get(), 0, "it is the caller's business alone");
    assert_eq!(on(0, || machine.call(1, || 5)), Ok(5), "the target goes on");
}

#[test]
fn p10_a_waiting_call_from_call_context_is_refused_and_its_function_dropped() {
    static DROPS: AtomicU32 = AtomicU32::new(0);
    struct Counts;
    impl Drop for Counts {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::Relaxed);
        }
    }
    let machine = start(2);
    let inside = csd(|| {
        let machine = crate::port::machine();
        let counts = Counts;
        let refused = machine.call(1, move || {
            let _held = &counts;
            log(1);
        });
        assert_eq!(refused, Err(CallError::WouldDeadlock));
        assert_eq!(machine.call(9, || ()), Err(CallError::NoSuchCpu));
        assert_eq!(machine.call(0, || log(2)), Ok(()));
    });
    machine.post(0, inside).unwrap();
    let _ = flush(0);
    let _ = flush(1);
    assert_eq!((logged(), DROPS.load(Ordering::Relaxed)), (vec![2], 1));
    assert_eq!(machine.platform().caught.get(), 0);
}

#[test]
fn p10_with_interrupts_off_waiting_is_refused_and_posting_is_not() {
    let machine = start(2);
    let csd = logs(1);
    on(0, || {
        machine.platform().irq_save();
        assert_eq!(machine.call(1, || ()), Err(CallError::WouldDeadlock));
        assert_eq!(machine.post(1, csd), Ok(Posted::Queued));
        assert_eq!(machine.wait(csd), Err(WaitError::WouldDeadlock));
        assert_eq!(machine.call(0, || 3), Ok(3), "a self call waits for nobody");
        machine.platform().irq_restore(());
    });
    let _ = flush(1);
    assert_eq!(logged(), [1]);
}

#[test]
fn p10_the_iterator_of_a_chain_may_not_wait() {
    let machine = start(2);
    let csd = logs(1);
    let walk = std::iter::once_with(|| {
        assert_eq!(crate::port::machine().call(1, || ()), Err(CallError::WouldDeadlock));
        csd
    });
    on(0, || machine.post_all(1, walk)).unwrap();
    let _ = flush(1);
}

#[test]
fn p10_two_cpus_that_call_each_other_both_finish() {
    let machine = start(2);
    // While CPU 0 waits for CPU 1, CPU 1 calls CPU 0: each serves its own queue while it waits.
    let hook: Rc<dyn Fn()> = Rc::new(|| {
        let machine = crate::port::machine();
        if machine.platform().cpu.get() == Some(0) {
            assert_eq!(on(1, || machine.call(0, || log(10))), Ok(()));
        } else {
            // CPU 1 waits for CPU 0, which is in its own wait below us: there it would look at its queue now.
            let _ = flush(0);
        }
    });
    *machine.platform().on_pause.borrow_mut() = Some(hook);
    assert_eq!(on(0, || machine.call(1, || log(20))), Ok(()));
    // CPU 1 served its own queue when it began to wait.
    assert_eq!(logged(), [20, 10]);
}

/// A caller that has the target's mailbox, and is off its core, does not hold up the others: they use frames of their own.
#[test]
fn p9_a_caller_in_the_mailbox_delays_nobody() {
    let machine = start(3);
    let (first, served) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
    let (begins, ran) = (Rc::clone(&first), Rc::clone(&served));
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(move || {
        let machine = crate::port::machine();
        if begins.replace(false) {
            // CPU 0's call is in the mailbox, and CPU 0 does not get on: eight others call, and each is answered.
            for call in 0..8 {
                assert_eq!(on(2, || machine.call(1, || call)), Ok(call));
                ran.set(ran.get() + 1);
            }
        } else {
            let _ = flush(1);
        }
    }));
    assert_eq!(on(0, || machine.call(1, || 9)), Ok(9));
    assert_eq!((first.get(), served.get()), (false, 8));
}
