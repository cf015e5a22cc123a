//! Multicasts with work of their caller's between the doorbells and the wait.

use crate::many::{others_flush, this_cpu};
use crate::port::{OwnCpu, flush, log, logged, machine, on, pinned, rings, start};
use smpcall::{CpuSet, HotplugError, ManyError, Platform, Reached, To};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

fn log_cpu() {
    log(this_cpu());
}

fn only(cpu: u32) -> CpuSet<1> {
    [cpu].into_iter().collect()
}

/// How many ran, and the work's result.
fn ran<R>(answer: Result<(Reached, R), ManyError>) -> (u32, R) {
    let (reached, result) = answer.unwrap();
    (reached.ran, result)
}

#[test]
fn p10_the_work_is_done_between_the_doorbells_and_the_wait() {
    let machine = start(4);
    others_flush();
    let mut borrowed = 1;
    let work = || {
        assert_eq!(rings(), [0, 1, 3], "they were rung");
        assert_eq!(logged(), [2], "nobody has waited for them, and the caller's own part has run");
        assert!(machine.platform().can_wait() && machine.call(2, || ()).is_ok(), "in thread context");
        log(9);
        borrowed += 1;
        borrowed
    };
    assert_eq!(ran(on(2, || machine.call_many_meanwhile(To::All, log_cpu, work))), (4, 2));
    assert_eq!(logged(), [9, 0, 1, 3]);
    let copied = on(2, || machine.call_many_copied_meanwhile(To::All, log_cpu, || log(9)));
    assert_eq!(ran(copied), (4, ()));
    assert_eq!(logged(), [2, 9, 0, 1, 3]);
}

#[test]
fn p10_the_work_may_itself_wait_and_multicast() {
    let machine = start(3);
    others_flush();
    let work = || (machine.call(1, || 5), machine.call_many(To::Others, || log(8)).map(|many| many.ran));
    let answer = on(0, || machine.call_many_meanwhile(To::Others, || log(7), work));
    assert_eq!(ran(answer), (2, (Ok(5), Ok(2))));
    let mut all = logged();
    all.sort_unstable();
    assert_eq!(all, [7, 7, 8, 8]);
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static MOST: Cell<u32> = const { Cell::new(0) };
}

/// A multicast to CPU 1 whose work is another, and so on; the innermost is one that waits.
fn nest() {
    let depth = DEPTH.get();
    DEPTH.set(depth + 1);
    MOST.set(MOST.get().max(DEPTH.get()));
    let to = only(1);
    if depth == 2 * usize::BITS {
        machine().call_many(To::Mask(&to), || log(1)).unwrap();
    } else {
        machine().call_many_meanwhile(To::Mask(&to), || log(1), nest).unwrap();
    }
    DEPTH.set(depth);
}

/// More of them are open than there are slots. Those that got no slot which may be kept so long do their work when their wait is over.
#[test]
fn p10_work_that_multicasts_finds_a_slot_however_deep() {
    let machine = start(2);
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = flush(1)));
    nest();
    assert_eq!(MOST.get(), 2 * usize::BITS + 1);
    assert_eq!(logged().len(), 2 * usize::BITS as usize + 1);
}

#[test]
fn p10_it_is_refused_where_it_could_deadlock_and_the_work_is_dropped() {
    let machine = start(2);
    others_flush();
    let refused =
        on(0, || machine.call(0, || crate::port::machine().call_many_meanwhile(To::All, log_cpu, || log(9))));
    assert_eq!(refused, Ok(Err(ManyError::WouldDeadlock)));
    let refused = on(0, || {
        machine.call(0, || crate::port::machine().call_many_copied_meanwhile(To::All, log_cpu, || log(9)))
    });
    assert_eq!(refused, Ok(Err(ManyError::WouldDeadlock)));
    let far = only(63);
    let unknown = on(0, || machine.call_many_meanwhile(To::Mask(&far), log_cpu, || log(9)));
    assert_eq!(unknown, Err(ManyError::NoSuchCpu));
    assert_eq!((logged(), rings()), (vec![], vec![]));
}

#[test]
fn p11_the_work_does_not_take_its_cpu_away() {
    let machine = start(3);
    others_flush();
    let work = || {
        assert_eq!(machine.offline(), Err(HotplugError::InCall));
        assert_eq!(pinned(&machine).come_online(), Err(HotplugError::InCall));
    };
    for _ in 0..2 {
        assert_eq!(ran(on(0, || machine.call_many_meanwhile(To::Others, log_cpu, work))), (2, ()));
    }
    on(0, || {
        assert!(machine.offline().is_ok());
        assert_eq!(pinned(&machine).come_online(), Ok(()));
    });
}

#[test]
fn p11_work_that_panics_waits_for_who_borrows() {
    let machine = start(4);
    others_flush();
    for copied in [false, true] {
        let work = || resume_unwind(Box::new("work"));
        let call = || match copied {
            false => machine.call_many_meanwhile(To::Others, log_cpu, work),
            true => machine.call_many_copied_meanwhile(To::Others, log_cpu, work),
        };
        let panic = catch_unwind(AssertUnwindSafe(|| on(0, call))).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"work"));
        assert_eq!(logged(), [1, 2, 3], "they have run when the panic comes out, so the frame may go");
    }
    // Of two panics one comes back, the other is noted.
    let both = || machine.call_many_meanwhile(To::Mask(&only(1)), || panic!("there"), || panic!("here"));
    let panic = catch_unwind(AssertUnwindSafe(|| on(0, both))).unwrap_err();
    assert_eq!((panic.downcast_ref(), machine.platform().caught.get()), (Some(&"here"), 1));
    // And the function's alone, when the work is done.
    let there = || machine.call_many_meanwhile(To::Mask(&only(1)), || panic!("there"), || log(9));
    let panic = catch_unwind(AssertUnwindSafe(|| on(0, there))).unwrap_err();
    assert_eq!((panic.downcast_ref(), logged()), (Some(&"there"), vec![9]));
    assert_eq!(ran(on(0, || machine.call_many_meanwhile(To::All, log_cpu, || ()))), (4, ()));
}
