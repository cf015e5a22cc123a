//! P11: pinned owners, whose drop takes the pending run away and waits.

use crate::port::{Machine, OwnCpu, flush, log, logged, machine, on, rings, start};
use smpcall::{CsdField, CsdOwner, Here, Lent, Pinned, Posted, csd_field};
use std::pin::pin;
use std::rc::Rc;

/// Logs 100 when it is dropped.
struct Visit {
    csd: CsdField,
    number: u32,
}

csd_field! { impl Visit { csd } }

impl CsdOwner for Visit {
    type Pointer = Lent;

    fn run(this: &Self, here: Here<'_>) {
        log(this.number * 10 + here.cpu());
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        log(100);
    }
}

fn visit(machine: &Machine) -> Pinned<'_, crate::port::Toy, [smpcall::PerCpu; 4], Visit> {
    machine.pinned(Visit { csd: CsdField::new(), number: 1 })
}

/// From now on, each pause of a waiting caller lets this CPU flush.
fn flushed_in_pauses(cpu: u32) {
    machine().platform().on_pause.replace(Some(Rc::new(move || _ = flush(cpu))));
}

#[test]
fn p11_it_runs_where_it_is_pinned() {
    let machine = start(2);
    {
        let visit = pin!(visit(&machine));
        assert_eq!(visit.number, 1);
        machine.post(1, visit.as_ref()).unwrap();
        assert_eq!(machine.post(0, visit.as_ref()), Ok(Posted::Busy { cpu: 1 }));
        let _ = flush(1);
        assert_eq!(machine.wait(visit.as_ref()), Ok(()));
        assert_eq!(logged(), [11]);
    }
    assert_eq!(logged(), [100]);
}

#[test]
fn p11_dropped_while_it_is_queued_it_does_not_run_and_waits_until_it_is_let_go_of() {
    let machine = start(2);
    flushed_in_pauses(1);
    let pauses_from = machine.platform().now_ns.get();
    on(0, || {
        let visit = pin!(visit(&machine));
        machine.post(1, visit.as_ref()).unwrap();
    });
    assert_eq!(logged(), [100], "neither run nor left in the queue");
    assert!(machine.platform().now_ns.get() > pauses_from, "it has waited");
    let _ = flush(1);
    assert_eq!(logged(), []);
}

#[test]
fn p11_dropped_on_the_cpu_that_it_is_queued_for() {
    let machine = start(1);
    on(0, || {
        let visit = pin!(visit(&machine));
        machine.post(0, visit.as_ref()).unwrap();
    });
    assert_eq!(logged(), [100]);
}

#[test]
fn p11_dropped_while_it_is_queued_lazily_the_target_is_rung() {
    let machine = start(2);
    flushed_in_pauses(1);
    on(0, || {
        let visit = pin!(visit(&machine));
        machine.post_lazy(1, visit.as_ref()).unwrap();
        assert_eq!(rings(), []);
    });
    assert_eq!((logged(), rings()), (vec![100], vec![1]));
}

#[test]
fn p11_cancelled_by_hand_it_is_waited_for_as_well() {
    let machine = start(2);
    flushed_in_pauses(1);
    on(0, || {
        let visit = pin!(visit(&machine));
        machine.post(1, visit.as_ref()).unwrap();
        let _ = visit.csd.cancel();
    });
    assert_eq!(logged(), [100]);
}

#[test]
fn p11_a_refused_post_is_not_waited_for() {
    let machine = start(1);
    {
        let visit = pin!(visit(&machine));
        assert!(machine.post(3, visit.as_ref()).is_err());
        // Refused at the push: the CPU goes between the claim and it.
        let mut walk = Some(visit.as_ref());
        let chain = std::iter::from_fn(|| {
            let next = walk.take();
            if next.is_none() {
                on(0, || crate::port::machine().offline()).unwrap();
            }
            next
        });
        assert!(machine.post_all(0, chain).is_err());
        log(1);
    }
    assert_eq!((logged(), machine.platform().now_ns.get()), (vec![1, 100], 0));
}

#[test]
fn p11_a_panic_of_the_poster_waits_too() {
    let machine = start(2);
    flushed_in_pauses(1);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        on(0, || {
            let visit = pin!(visit(&machine));
            machine.post(1, visit.as_ref()).unwrap();
            panic!("meant");
        });
    }));
    assert!(panic.is_err());
    assert_eq!(logged(), [100]);
    let _ = flush(1);
    assert_eq!(logged(), []);
}

#[test]
fn p11_forgotten_while_it_is_queued_it_runs_where_it_was_pinned() {
    let machine = start(2);
    let visit = Box::pin(visit(&machine));
    machine.post(1, visit.as_ref()).unwrap();
    std::mem::forget(visit);
    let _ = flush(1);
    assert_eq!(logged(), [11], "its memory is leaked, and never dropped");
}
