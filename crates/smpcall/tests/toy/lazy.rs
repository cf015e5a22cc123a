//! Lazy posts: no doorbell, along with the next flush, and expedited by those who rely on them.

use crate::port::{
    OwnCpu, Toy, as_cpu, budget, csd, flush, log, logged, logs, machine, on, pinned, rings, start,
};
use smpcall::{
    Budget, Cancel, Coalesced, Csd, Flushed, Machine, NoSleep, PerCpu, PostError, Posted, WaitError,
};
use std::rc::Rc;
use std::time::Duration;

const BUSY: Result<Posted, PostError> = Ok(Posted::Busy { cpu: 1 });

#[test]
fn p1_it_rides_along_with_the_next_flush_and_rings_nobody() {
    let machine = start(2);
    let csd = logs(1);
    assert_eq!(machine.post_lazy(1, csd), Ok(Posted::Queued));
    assert!(csd.is_pending() && !on(1, || machine.has_work()));
    assert_eq!(on(1, || machine.poll_end()), Ok(()), "a CPU may sleep over it");
    assert_eq!(rings(), []);
    machine.post(1, logs(2)).unwrap();
    assert_eq!((rings(), flush(1)), (vec![1], Flushed::All(2)));
    assert_eq!((logged(), csd.is_pending()), (vec![1, 2], false));
    // Any flush will do.
    machine.post_lazy(1, csd).unwrap();
    assert_eq!((flush(1), flush(1), logged()), (Flushed::All(1), Flushed::All(0), vec![1]));
}

#[test]
fn p1_a_polling_cpu_is_told_nothing() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    machine.post_lazy(1, logs(1)).unwrap();
    assert!(!on(1, || machine.has_work()));
    assert_eq!(on(1, || machine.poll_end()), Ok(()));
    assert_eq!((rings(), flush(1)), (vec![], Flushed::All(1)));
}

#[test]
fn p2_a_plain_post_of_it_is_busy_and_expedites_it() {
    let machine = start(2);
    let csd = logs(1);
    machine.post_lazy(1, csd).unwrap();
    assert_eq!(machine.post_lazy(1, csd), BUSY);
    assert_eq!(rings(), [], "another lazy one is no urgent one either");
    assert_eq!(on(0, || machine.post(1, csd)), BUSY);
    assert_eq!(rings(), [1]);
    assert!(on(1, || machine.has_work()));
    assert_eq!(on(0, || machine.post(1, csd)), BUSY);
    assert_eq!(rings(), [], "once is enough");
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![1]));
    // Its next lazy run is lazy again. A chain expedites too, and asked for another CPU as well.
    machine.post_lazy(1, csd).unwrap();
    assert_eq!(rings(), []);
    assert_eq!(machine.post_all(0, [csd]).map(|chain| chain.busy), Ok(1));
    assert_eq!((rings(), flush(1), logged()), (vec![1], Flushed::All(1), vec![1]));
}

#[test]
fn p2_by_way_of_another_machine_it_is_busy_and_nobody_is_rung_there() {
    let machine = start(2);
    let other = Box::pin(Machine::new(Toy::new(), [const { PerCpu::new() }; 2]));
    for cpu in 0..2 {
        other.platform().cpu.set(Some(cpu));
        other.as_ref().come_online().unwrap();
    }
    let csd = logs(1);
    let chain = || other.post_all(0, [csd]).map(|chain| chain.busy);
    machine.post_lazy(1, csd).unwrap();
    assert_eq!((other.post(1, csd), other.post(0, csd), chain()), (BUSY, BUSY, Ok(1)));
    assert!(matches!(other.wait_timeout(csd, Duration::ZERO), Err(WaitError::TimedOut(_))));
    assert_eq!(other.platform().rings.take(), [], "it is in no list there");
    assert_eq!(rings(), []);
    // Nor where there is a list, of others: those are expedited, and it is not lost to its own machine.
    other.post_lazy(1, logs(2)).unwrap();
    assert_eq!((other.post(1, csd), other.platform().rings.take()), (BUSY, vec![1]));
    other.platform().cpu.set(Some(1));
    assert_eq!((other.flush(Budget::DEFAULT), logged()), (Flushed::All(1), vec![2]));
    assert_eq!((machine.post(1, csd), rings()), (BUSY, vec![1]), "its own next poster expedites it");
    assert_eq!((flush(1), logged(), csd.is_pending()), (Flushed::All(1), vec![1], false));
    // A plain one keeps its promise too, of whichever number its CPU is.
    machine.post(1, csd).unwrap();
    assert_eq!((other.post(0, csd), other.post_lazy(0, csd)), (BUSY, BUSY));
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![1]));
    assert_eq!(other.post(0, csd), Ok(Posted::Queued), "and then it is the other's");
    other.platform().cpu.set(Some(0));
    assert_eq!((other.flush(Budget::DEFAULT), logged()), (Flushed::All(1), vec![1]));
}

#[test]
fn p2_a_polling_cpu_sees_what_is_expedited() {
    let machine = start(2);
    on(1, || machine.poll_begin());
    let csd = logs(1);
    machine.post_lazy(1, csd).unwrap();
    assert_eq!(machine.post(1, csd), BUSY);
    assert!(on(1, || machine.has_work()));
    assert_eq!(on(1, || machine.poll_end()), Err(NoSleep::Work));
    assert_eq!((rings(), flush(1), logged()), (vec![], Flushed::All(1), vec![1]));
}

#[test]
fn p2_expedited_in_the_middle_of_a_flush_it_runs_in_that_flush() {
    let machine = start(2);
    let lazy = logs(1);
    let expedites = csd(move || {
        // The flush that runs this has taken the lazy ones already.
        machine_posts_lazily(lazy);
        assert_eq!(crate::port::machine().post(1, lazy), BUSY);
        log(2);
    });
    machine.post(1, expedites).unwrap();
    rings();
    assert_eq!((flush(1), rings()), (Flushed::All(2), vec![]));
    assert_eq!(logged(), [2, 1]);
}

fn machine_posts_lazily(csd: &'static Csd<impl Fn() + Sync + 'static>) {
    assert_eq!(machine().post_lazy(1, csd), Ok(Posted::Queued));
}

static FOR_EVER: Csd<fn()> = Csd::new(|| {
    log(1);
    machine_posts_lazily(&FOR_EVER);
});

#[test]
fn p5_one_that_posts_itself_lazily_runs_once_in_each_flush() {
    let machine = start(2);
    machine_posts_lazily(&FOR_EVER);
    for _ in 0..3 {
        assert_eq!(flush(1), Flushed::All(1));
    }
    assert_eq!((logged(), rings()), (vec![1, 1, 1], vec![]));
    // Going offline ends it: its last post is refused, which it takes ill.
    assert_eq!(on(1, || machine.offline()), Ok(1));
    assert_eq!((machine.platform().caught.get(), FOR_EVER.is_pending()), (1, false));
}

#[test]
fn p6_lazy_ones_run_in_order_before_the_others_and_after_waiting_calls() {
    let machine = start(2);
    for csd in [logs(1), logs(2), logs(3)] {
        machine.post_lazy(1, csd).unwrap();
    }
    machine.post(1, logs(4)).unwrap();
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = flush(1)));
    assert_eq!(on(0, || machine.call(1, || log(0))), Ok(()));
    assert_eq!(logged(), [0, 1, 2, 3, 4]);
    // What a budget leaves over is older.
    for csd in [logs(1), logs(2), logs(3)] {
        machine.post_lazy(1, csd).unwrap();
    }
    assert_eq!(on(1, || machine.flush(budget(1))), Flushed::More(1));
    machine.post_lazy(1, logs(4)).unwrap();
    assert_eq!((flush(1), logged()), (Flushed::All(3), vec![1, 2, 3, 4]));
}

#[test]
fn p8_going_offline_runs_what_was_accepted_and_refuses_the_rest() {
    let machine = start(2);
    let (csd, late) = (logs(1), logs(2));
    let last = crate::port::csd(move || {
        assert_eq!(machine_posts(1, late), Ok(Posted::Queued), "the lazy list is closed last of all");
        log(3);
    });
    machine.post_lazy(1, csd).unwrap();
    machine.post(1, last).unwrap();
    assert_eq!(on(1, || machine.offline()), Ok(3));
    assert_eq!(logged(), [3, 1, 2]);
    for cpu in [1, 3] {
        assert_eq!(machine.post_lazy(cpu, csd), Err(PostError::Offline { coalesced: Coalesced::No }));
    }
    assert_eq!(machine.post_lazy(4, csd), Err(PostError::NoSuchCpu));
    assert!(!csd.is_pending());
    on(1, || pinned(&machine).come_online()).unwrap();
    assert_eq!((machine.post_lazy(1, csd), flush(1)), (Ok(Posted::Queued), Flushed::All(1)));
}

fn machine_posts(cpu: u32, csd: &'static Csd<impl Fn() + Sync + 'static>) -> Result<Posted, PostError> {
    machine().post_lazy(cpu, csd)
}

#[test]
fn p8_a_refused_lazy_post_answers_for_those_told_busy() {
    let machine = start(2);
    let csd = logs(1);
    *machine.platform().on_save.borrow_mut() = Some(Box::new(|| {
        on(1, || crate::port::machine().offline()).unwrap();
    }));
    assert_eq!(on(0, || machine.post_lazy(1, csd)), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(
        (machine.post_lazy(0, csd), flush(0)),
        (Ok(Posted::Queued), Flushed::All(1)),
        "the claim was let go"
    );
}

#[test]
fn p3_expedited_by_an_nmi_before_and_after_the_push() {
    let machine = start(2);
    let csd = logs(1);
    // Before the claim: the NMI's is the run, and the lazy post is Busy.
    *machine.platform().on_save.borrow_mut() = Some(Box::new(move || {
        assert_eq!(crate::port::machine().post(1, csd), Ok(Posted::Queued));
    }));
    assert_eq!(on(0, || machine.post_lazy(1, csd)), BUSY);
    assert_eq!((rings(), flush(1)), (vec![1], Flushed::All(1)));
    // After the link: at the ring of the one who expedites it, another comes.
    machine.post_lazy(1, csd).unwrap();
    *machine.platform().on_ring.borrow_mut() = Some(Box::new(move || {
        assert_eq!(crate::port::machine().post(1, csd), BUSY);
    }));
    assert_eq!(on(0, || machine.post(1, csd)), BUSY);
    assert_eq!((rings(), flush(1), logged()), (vec![1], Flushed::All(1), vec![1, 1]));
}

#[test]
fn p1_cancelled_it_does_not_run_and_a_post_gives_the_run_back() {
    let machine = start(2);
    let csd = logs(1);
    machine.post_lazy(1, csd).unwrap();
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    assert_eq!(machine.post_lazy(0, csd), Err(PostError::Cancelled { cpu: 1 }));
    assert_eq!((flush(1), logged(), csd.is_pending()), (Flushed::All(1), vec![], false));
    machine.post_lazy(1, csd).unwrap();
    let _ = csd.cancel();
    assert_eq!((machine.post_lazy(1, csd), rings()), (BUSY, vec![]), "back, and lazy still");
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::Yes });
    assert_eq!((machine.post(1, csd), rings()), (BUSY, vec![1]), "back, and expedited");
    assert_eq!((flush(1), logged()), (Flushed::All(1), vec![1]));
}

#[test]
fn p4_a_wait_expedites_it() {
    let machine = start(2);
    let csd = logs(1);
    machine.post_lazy(1, csd).unwrap();
    // Whoever is rung flushes.
    *machine.platform().on_pause.borrow_mut() =
        Some(Rc::new(|| rings().into_iter().for_each(|cpu| _ = flush(cpu))));
    assert_eq!(on(0, || machine.wait(csd)), Ok(()));
    assert_eq!(logged(), [1]);
    machine.post_lazy(0, csd).unwrap();
    assert_eq!(on(0, || machine.wait_until(csd, u64::MAX)), Ok(()), "its own");
    assert_eq!((logged(), rings()), (vec![1], vec![0]));
    machine.post_lazy(1, csd).unwrap();
    *machine.platform().on_pause.borrow_mut() = None;
    assert!(matches!(as_cpu(None, || machine.wait_until(csd, 0)), Err(WaitError::TimedOut(_))));
    assert_eq!((rings(), flush(1)), (vec![1], Flushed::All(1)));
}

static LOOKS_AT_ITSELF: Csd<fn()> = Csd::new(|| {
    assert_eq!(LOOKS_AT_ITSELF.cancel(), Cancel::NotPending);
    assert_eq!(machine().wait(&LOOKS_AT_ITSELF), Err(WaitError::WouldDeadlock));
    log(1);
});

#[test]
fn p10_cancelled_and_waited_for_from_inside_itself() {
    let machine = start(2);
    machine.post_lazy(1, &LOOKS_AT_ITSELF).unwrap();
    machine.post(1, logs(2)).unwrap();
    assert_eq!((flush(1), logged(), machine.platform().caught.get()), (Flushed::All(2), vec![1, 2], 0));
}
