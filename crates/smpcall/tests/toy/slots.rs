//! Slots of multicasts: who is refused, who waits, and who is not overtaken.

use crate::many::others_flush;
use crate::port::{PAUSE_NS, flush, log, logged, machine, on, start};
use smpcall::{CpuSet, ManyError, To};
use std::cell::Cell;
use std::rc::Rc;

/// So many for those that do not wait.
const UNAWAITED: u32 = usize::BITS / 4 * 3;
/// So many for those that come when others wait.
const NEWCOMERS: u32 = usize::BITS / 8 * 7;

fn only(cpu: u32) -> CpuSet<1> {
    [cpu].into_iter().collect()
}

/// Multicasts to CPU 1, which does not look, until that is refused.
fn fill() -> u32 {
    let mut posted = 0;
    let refused = loop {
        match machine().post_many(To::Mask(&only(1)), || log(1)) {
            Ok(_) => posted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, ManyError::Full);
    posted
}

fn pauses() -> u64 {
    machine().platform().now_ns.get() / PAUSE_NS
}

#[test]
fn p9_those_who_do_not_wait_leave_slots_to_those_who_do() {
    let machine = start(3);
    assert_eq!(fill(), UNAWAITED);
    assert_eq!(machine.post_many(To::Mask(&only(2)), || log(2)), Err(ManyError::Full), "to others too");
    // Who waits is not held up by a CPU that it does not call.
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = flush(2)));
    for _ in 0..2 * usize::BITS {
        let before = pauses();
        assert_eq!(on(0, || machine.call_many(To::Mask(&only(2)), || log(2))).map(|many| many.ran), Ok(1));
        assert_eq!(pauses(), before + 1, "its own answer is all that it waits for");
    }
    assert_eq!(logged(), [2; 2 * usize::BITS as usize]);
    let _ = flush(1);
    assert_eq!(fill(), UNAWAITED, "and free again");
    let _ = flush(1);
}

#[test]
fn p9_a_flood_does_not_keep_those_off_who_wait() {
    let machine = start(3);
    // Whoever frees a slot by running its function, it is taken again at once.
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| {
        let _ = on(1, || crate::port::machine().flush(crate::port::budget(1)));
        fill();
        let _ = flush(2);
    }));
    fill();
    for _ in 0..20 {
        let before = pauses();
        on(0, || machine.call_many(To::Mask(&only(2)), || log(2))).unwrap();
        assert_eq!(pauses(), before + 1);
    }
    *machine.platform().on_pause.borrow_mut() = None;
    let _ = flush(1);
}

thread_local! {
    /// How many calls wait, one inside the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Whether the one that must wait for a slot has been answered.
    static OVER: Cell<bool> = const { Cell::new(false) };
}

/// A multicast to CPU 1, and from its wait another, until `most` are under way; the innermost has CPU 1 answer them.
fn nest(most: u32) {
    DEPTH.set(0);
    *machine().platform().on_pause.borrow_mut() = Some(Rc::new(move || {
        if DEPTH.get() < most {
            DEPTH.set(DEPTH.get() + 1);
            machine().call_many(To::Mask(&only(1)), || log(3)).unwrap();
        } else {
            let _ = flush(1);
        }
    }));
    DEPTH.set(1);
    machine().call_many(To::Mask(&only(1)), || log(3)).unwrap();
    *machine().platform().on_pause.borrow_mut() = None;
}

#[test]
fn p10_who_has_waited_for_a_slot_gets_one_that_no_newcomer_takes() {
    let machine = start(3);
    assert_eq!(fill(), UNAWAITED);
    // The newcomers' slots are held by callers that wait for CPU 1.
    let held = NEWCOMERS - UNAWAITED;
    let since = Cell::new(0);
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(move || {
        let machine = crate::port::machine();
        let depth = DEPTH.get();
        DEPTH.set(depth + 1);
        if depth < held {
            machine.call_many(To::Mask(&only(1)), || log(3)).unwrap();
        } else if depth == held {
            since.set(pauses());
            // CPU 1 looks at nothing as long as this one waits, for a slot, and then for CPU 2.
            machine.call_many(To::Mask(&only(2)), || log(2)).unwrap();
            assert_eq!(logged(), [2]);
            assert_eq!(pauses(), since.get() + 1, "nobody had to give one back");
            OVER.set(true);
        } else {
            let _ = flush(2);
            if OVER.get() {
                let _ = flush(1);
            }
        }
    }));
    DEPTH.set(1);
    OVER.set(false);
    machine.call_many(To::Mask(&only(1)), || log(3)).unwrap();
    *machine.platform().on_pause.borrow_mut() = None;
    let all = logged();
    assert_eq!(all.iter().filter(|entry| **entry == 3).count() as u32, held);
    assert_eq!(all.iter().filter(|entry| **entry == 1).count() as u32, UNAWAITED);
}

#[test]
fn p10_more_callers_than_slots_all_get_through() {
    let machine = start(2);
    // Those that wait hold theirs as long as the later ones are inside their waits; the others are given back.
    assert_eq!(fill(), UNAWAITED);
    nest(usize::BITS - UNAWAITED + 3);
    assert_eq!(logged().len() as u32, usize::BITS + 3);
    assert_eq!(fill(), UNAWAITED);
    let _ = flush(1);
    others_flush();
    assert_eq!(on(0, || machine.call_many(To::All, || log(9))).map(|many| many.ran), Ok(2));
}
