//! Multicast: whom it reaches, in which order, with how many doorbells, and what it refuses.

use crate::port::{
    CPUS, OwnCpu, Toy, budget, csd, flush, log, logged, logs, machine, on, pinned, rings, start,
};
use smpcall::{Budget, CpuMask, CpuSet, Flushed, Machine, ManyError, PerCpu, Phase, Reached, To};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// While a caller waits, all other CPUs flush.
pub(crate) fn others_flush() {
    *machine().platform().on_pause.borrow_mut() = Some(Rc::new(|| {
        for cpu in 0..CPUS as u32 {
            if machine().platform().cpu.get() != Some(cpu) && machine().is_online_racy(cpu) {
                let _ = flush(cpu);
            }
        }
    }));
}

pub(crate) fn this_cpu() -> u32 {
    machine().platform().cpu.get().unwrap()
}

fn log_cpu() {
    log(this_cpu());
}

/// What a function may multicast: it cannot capture the machine.
fn inside() -> (Result<Reached, ManyError>, Result<Reached, ManyError>) {
    (machine().call_many(To::Others, || ()), machine().post_many(To::Others, log_cpu))
}

fn reached(result: Result<Reached, ManyError>) -> (u32, u32, u32) {
    let reached = result.unwrap();
    (reached.ran, reached.offline, reached.busy)
}

#[test]
fn p1_all_others_run_it_once_and_the_caller_does_not() {
    let machine = start(4);
    others_flush();
    assert_eq!(reached(on(1, || machine.call_many(To::Others, log_cpu))), (3, 0, 0));
    assert_eq!(logged(), [0, 2, 3]);
    assert_eq!(rings(), [0, 2, 3], "P7: one doorbell each");
}

#[test]
fn p1_all_means_the_caller_too_last_of_all() {
    let machine = start(4);
    others_flush();
    // The caller's own runs inline, when all others have been notified; they run at its first pause.
    assert_eq!(reached(on(2, || machine.call_many(To::All, log_cpu))), (4, 0, 0));
    assert_eq!(logged(), [2, 0, 1, 3]);
    assert_eq!(rings(), [0, 1, 3]);
}

#[test]
fn p1_a_thread_that_is_no_cpu_calls_all() {
    let machine = start(3);
    others_flush();
    assert_eq!(reached(machine.call_many(To::All, log_cpu)), (3, 1, 0));
    assert_eq!(logged(), [0, 1, 2]);
}

#[test]
fn p1_a_mask_and_a_condition_choose() {
    let machine = start(4);
    others_flush();
    let mask: CpuSet<1> = [1, 3].into_iter().collect();
    assert_eq!(reached(on(0, || machine.call_many(To::Mask(&mask), log_cpu))), (2, 0, 0));
    assert_eq!(logged(), [1, 3]);
    let mut asked = Vec::new();
    let mut even = |cpu| {
        asked.push(cpu);
        cpu % 2 == 0
    };
    assert_eq!(reached(on(0, || machine.call_many(To::If(&mut even), log_cpu))), (2, 0, 0));
    assert_eq!(asked, [0, 1, 2, 3], "asked once for each, on the caller");
    assert_eq!(logged(), [0, 2]);
}

#[test]
fn p4_what_the_functions_wrote_is_there() {
    let machine = start(4);
    others_flush();
    let sum = AtomicU32::new(0);
    // Relaxed: P4 is what is tested.
    machine.call_many(To::All, || _ = sum.fetch_add(1, Relaxed)).unwrap();
    assert_eq!(sum.load(Relaxed), 4);
}

#[test]
fn bad_masks_are_refused_before_anything_is_sent() {
    let machine = start(4);
    others_flush();
    let nobody = CpuSet::<1>::new();
    assert_eq!(reached(machine.call_many(To::Mask(&nobody), log_cpu)), (0, 0, 0));
    let none = CpuMask::from_words(&[]);
    assert_eq!(reached(machine.call_many(To::Mask(none), log_cpu)), (0, 0, 0));
    let mut past: CpuSet<2> = [0, 4].into_iter().collect();
    assert_eq!(machine.call_many(To::Mask(&past), log_cpu), Err(ManyError::NoSuchCpu));
    past.remove(4);
    past.insert(64);
    assert_eq!(machine.post_many(To::Mask(&past), log_cpu), Err(ManyError::NoSuchCpu));
    past.remove(64);
    assert_eq!(reached(machine.call_many(To::Mask(&past), log_cpu)), (1, 0, 0), "larger than the machine");
    assert_eq!(logged(), [0]);
    assert_eq!(rings(), [0]);
}

#[test]
fn p8_cpus_that_are_offline_are_left_out_and_counted() {
    let machine = start(2);
    others_flush();
    assert_eq!(reached(on(0, || machine.call_many(To::All, log_cpu))), (2, 2, 0));
    assert_eq!(logged(), [0, 1]);
    on(0, || machine.offline()).unwrap();
    assert_eq!(
        reached(on(0, || machine.call_many(To::All, log_cpu))),
        (1, 3, 0),
        "the caller itself is offline"
    );
    assert_eq!(logged(), [1]);
}

#[test]
fn p8_going_offline_answers_what_was_accepted() {
    let machine = start(3);
    assert_eq!(reached(machine.post_many(To::All, log_cpu)), (3, 1, 0));
    on(1, || machine.offline()).unwrap();
    assert_eq!(logged(), [1]);
    on(1, || pinned(&machine).come_online()).unwrap();
    assert_eq!(flush(1), Flushed::All(0), "only once");
    let _ = (flush(0), flush(2));
    assert_eq!(logged(), [0, 2]);
}

#[test]
fn p6_one_senders_multicasts_run_in_order() {
    let machine = start(2);
    let send = |entry| reached(on(0, || machine.post_many(To::Others, move || log(entry))));
    for entry in 0..5 {
        assert_eq!(send(entry), (1, 2, 0));
    }
    assert_eq!(rings(), [1], "P7: one doorbell for all");
    // Half of the slots are free again, and are taken in another order than their numbers'.
    assert_eq!(on(1, || machine.flush(budget(2))), Flushed::More(2));
    for entry in 5..8 {
        send(entry);
    }
    let _ = flush(1);
    assert_eq!(logged(), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn p6_waiting_calls_and_multicasts_run_before_asynchronous_ones() {
    let machine = start(2);
    machine.post(1, logs(1)).unwrap();
    machine.post_many(To::Mask(&[1].into_iter().collect::<CpuSet<1>>()), || log(2)).unwrap();
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = flush(1)));
    machine.call(1, || log(3)).unwrap();
    assert_eq!(logged(), [3, 2, 1]);
}

#[test]
fn p7_a_polling_cpu_is_not_rung() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    machine.post_many(To::All, log_cpu).unwrap();
    assert_eq!(rings(), [0]);
    assert!(on(1, || machine.has_work()));
    let _ = flush(1);
    assert_eq!(logged(), [1]);
}

#[test]
fn a_second_multicast_starts_while_the_first_is_in_flight() {
    let machine = start(3);
    let inner = Rc::new(Cell::new(None));
    let seen = Rc::clone(&inner);
    // CPU 0 waits; a function that it serves meanwhile multicasts in its turn.
    machine.post(0, csd(|| _ = crate::port::machine().post_many(To::Others, || log(7)))).unwrap();
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(move || {
        seen.set(Some(logged().len()));
        let _ = (flush(1), flush(2));
    }));
    assert_eq!(reached(on(0, || machine.call_many(To::Others, || log(1)))), (2, 1, 0));
    let _ = (flush(1), flush(2));
    assert!(inner.get().is_some());
    let mut all = logged();
    all.sort_unstable();
    assert_eq!(all, [1, 1, 7, 7]);
}

#[test]
fn p10_waiting_is_refused_where_it_could_deadlock_and_posting_is_not() {
    let machine = start(2);
    others_flush();
    let (call, post) = on(0, || machine.call(0, inside)).unwrap();
    assert_eq!(call, Err(ManyError::WouldDeadlock));
    assert_eq!(reached(post), (1, 2, 0));
    let _ = flush(1);
    assert_eq!(logged(), [1]);
}

#[test]
fn p10_a_silent_target_of_many_is_named() {
    let machine = start(3);
    machine.platform().stall_timeout_ns.set(10_000);
    let pauses = Cell::new(0);
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(move || {
        let _ = flush(1);
        pauses.set(pauses.get() + 1);
        if pauses.get() > 25 {
            let _ = flush(2);
        }
    }));
    assert_eq!(reached(on(0, || machine.call_many(To::Others, || ()))), (2, 1, 0));
    let stalls = machine.platform().stalls.borrow();
    assert!(!stalls.is_empty());
    assert!(
        stalls.iter().all(|stall| (stall.waiter, stall.target, stall.phase) == (Some(0), 2, Phase::Queued))
    );
}

#[test]
fn p11_a_panic_comes_back_when_all_have_run() {
    let machine = start(4);
    others_flush();
    let call = || {
        machine.call_many(To::All, || {
            log_cpu();
            assert!(this_cpu() % 2 == 0, "odd");
        })
    };
    let panic = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"odd"));
    assert_eq!(logged(), [0, 1, 2, 3]);
    assert_eq!(machine.platform().caught.get(), 1, "the second one is only noted");
    assert_eq!(reached(machine.call_many(To::All, log_cpu)), (4, 0, 0), "the machine goes on");
}

#[test]
fn p11_a_condition_that_panics_leaves_its_slot_free() {
    let machine = start(4);
    others_flush();
    for _ in 0..2 * usize::BITS {
        let call = || {
            machine.call_many(To::If(&mut |cpu| cpu < 2 || std::panic::resume_unwind(Box::new(()))), log_cpu)
        };
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    }
    assert_eq!(
        (logged(), rings()),
        (vec![], vec![]),
        "it is asked before anything is sent, a word at a time"
    );
    assert_eq!(reached(machine.call_many(To::All, log_cpu)), (4, 0, 0));
}

#[test]
fn p11_a_condition_that_panics_after_some_were_reached_waits_for_them() {
    const WORD: u32 = usize::BITS;
    let machine = Rc::new(Machine::new(Toy::new(), [const { PerCpu::new() }; WORD as usize + 1]));
    let platform = machine.platform();
    platform.cpu.set(Some(0));
    pinned(&machine).come_online().unwrap();
    platform.cpu.set(None);
    let weak = Rc::downgrade(&machine);
    *platform.on_pause.borrow_mut() = Some(Rc::new(move || {
        let machine = weak.upgrade().unwrap();
        machine.platform().cpu.set(Some(0));
        let _ = machine.flush(Budget::DEFAULT);
        machine.platform().cpu.set(None);
    }));
    // It is asked a word at a time: CPU 0 is reached before the second word is asked.
    let mut condition = |cpu| if cpu < WORD { true } else { std::panic::resume_unwind(Box::new(())) };
    let call = || machine.call_many(To::If(&mut condition), || log(0));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(logged(), [0], "it has run when the panic comes out, so the frame may go");
}

#[test]
fn p12_a_panic_in_a_posted_one_is_noted() {
    let machine = start(1);
    machine.post_many(To::All, || panic!("nobody waits")).unwrap();
    assert_eq!(flush(0), Flushed::All(1));
    assert_eq!(machine.platform().caught.get(), 1);
}

#[test]
fn best_effort_leaves_out_the_busy_and_names_them() {
    let machine = start(4);
    others_flush();
    machine.post(2, logs(9)).unwrap();
    let mut busy = CpuSet::<1>::new();
    busy.insert(5);
    let call = || machine.call_many_idle(To::Others, &mut busy, log_cpu);
    assert_eq!(reached(on(0, call)), (2, 0, 1));
    assert_eq!(busy.iter().collect::<Vec<_>>(), [2]);
    let entries = logged();
    assert!(
        entries.starts_with(&[1]) && entries.contains(&3) && entries.contains(&9) && !entries.contains(&2)
    );
    let small = CpuMask::from_words_mut(&mut []);
    assert_eq!(machine.call_many_idle(To::All, small, log_cpu), Err(ManyError::MaskTooSmall));
}

#[test]
fn kicks_ring_the_idle_and_wait_for_all() {
    let machine = start(3);
    others_flush();
    on(1, || machine.poll_begin());
    assert_eq!(on(0, || machine.wake_idle_cpus()), 1);
    assert_eq!(rings(), [2]);
    let all: CpuSet<1> = (0..4).collect();
    assert!(!machine.is_pending_racy(&all));
    machine.post(2, logs(1)).unwrap();
    assert!(machine.is_pending_racy(&all));
    assert_eq!(reached(on(0, || machine.kick_all_cpus_sync())), (2, 1, 0));
    assert_eq!(logged(), [1], "what was queued there has run");
}
