//! P6, P7, P10, P12 of what a flush left over at its budget: what passes it, what is put behind it, and who is told.

use crate::port::{
    OwnCpu, PAUSE_NS, budget, counted, counted_in_all, csd, events, flush, log, logged, logs, machine, on,
    rings, start,
};
use smpcall::{Budget, CpuMask, Csd, EventKind, Flushed, To};
use std::num::NonZeroU32;
use std::rc::Rc;

fn with_posts(calls: u32, posts: u32) -> Budget {
    budget(calls).posts(NonZeroU32::new(posts).unwrap())
}

/// Flushes CPU 1 with that budget, and says what it came to, what it ran, and what is left over.
fn flushed(budget: Budget) -> (Flushed, Vec<u32>, u32) {
    let machine = machine();
    let flushed = on(1, || machine.flush(budget));
    (flushed, logged(), machine.backlog_racy(1))
}

/// Multicasts to CPU 1 that nobody waits for: they run with those that somebody does.
fn multicast(entry: fn()) {
    machine().post_many(To::Mask(CpuMask::from_words(&[0b10])), entry).unwrap();
}

#[test]
fn p6_a_waiting_call_passes_what_came_with_it_and_what_was_left_over() {
    let machine = start(2);
    machine.post_all(1, (0..6).map(logs)).unwrap();
    assert_eq!(flushed(budget(2)), (Flushed::More(2), vec![0, 1], 4));
    machine.post(1, logs(6)).unwrap();
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| {
        let machine = crate::port::machine();
        assert_eq!(on(1, || machine.flush(budget(2))), Flushed::More(2));
    }));
    on(0, || machine.call(1, || log(9))).unwrap();
    assert_eq!(logged(), [9, 2], "in the next flush, before what is older");
    assert_eq!(flushed(Budget::DEFAULT), (Flushed::All(4), vec![3, 4, 5, 6], 0));
}

#[test]
fn p10_a_waiting_call_is_served_by_the_next_flush_behind_ten_thousand_posts() {
    let machine = start(2);
    machine.post_all(1, (0..10_000).map(logs)).unwrap();
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![0], 9_999));
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = flushed(budget(1)).0));
    let before_ns = machine.platform().now_ns.get();
    on(0, || machine.call(1, || ())).unwrap();
    assert_eq!(machine.platform().now_ns.get() - before_ns, PAUSE_NS, "one flush");
    assert_eq!(machine.backlog_racy(1), 9_999);
}

#[test]
fn p6_multicasts_pass_what_was_left_over_and_keep_their_order() {
    let machine = start(2);
    machine.post_all(1, (0..3).map(logs)).unwrap();
    multicast(|| log(10));
    multicast(|| log(11));
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![10], 4));
    multicast(|| log(12));
    machine.post(1, logs(3)).unwrap();
    // What was left over is older, of each kind. Nobody waits for that any more, and the queue is taken.
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![11], 5));
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![12], 4));
    assert_eq!(flushed(budget(3)), (Flushed::More(3), vec![0, 1, 2], 1));
    multicast(|| log(13));
    assert_eq!(flushed(Budget::DEFAULT), (Flushed::All(2), vec![13, 3], 0));
}

#[test]
fn p6_the_queue_is_not_taken_before_nobody_waits_for_what_was_left_over() {
    start(2);
    let three: [fn(); 3] = [|| log(10), || log(11), || log(12)];
    three.into_iter().for_each(multicast);
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![10], 2));
    multicast(|| log(13));
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![11], 1), "the new one is still in the queue");
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![12], 1), "and here it is taken");
    assert_eq!(flushed(budget(1)), (Flushed::All(1), vec![13], 0));
}

#[test]
fn p6_new_posts_are_put_behind_those_left_over_again_and_again() {
    let machine = start(2);
    let mut all = 0..;
    let mut posts = |posts| machine.post_all(1, all.by_ref().take(posts).map(logs)).unwrap();
    posts(3);
    let mut ran = flushed(budget(1)).1;
    for (flushes, more) in [2, 0, 1, 3, 0, 0, 2].into_iter().enumerate() {
        posts(more);
        let (flush, logged, left) = flushed(budget(1));
        ran.extend(logged);
        let queued = 3 + [2, 0, 1, 3, 0, 0, 2][..=flushes].iter().sum::<usize>();
        assert_eq!((flush, left as usize), (Flushed::More(1), queued - ran.len()));
    }
    posts(1);
    let (flush, logged, left) = flushed(Budget::DEFAULT);
    ran.extend(logged);
    assert_eq!((flush, left), (Flushed::All(4), 0));
    assert_eq!(ran, (0..12).collect::<Vec<_>>());
}

#[test]
fn p6_lazy_posts_are_put_between_those_left_over_and_the_new_ones() {
    let machine = start(2);
    machine.post_all(1, (0..3).map(logs)).unwrap();
    assert_eq!(flushed(budget(1)).1, [0]);
    machine.post_lazy(1, logs(3)).unwrap();
    assert_eq!(flushed(budget(1)), (Flushed::More(1), vec![1], 2), "taken, though nothing was queued but it");
    machine.post_lazy(1, logs(4)).unwrap();
    machine.post(1, logs(5)).unwrap();
    assert_eq!(flushed(Budget::DEFAULT), (Flushed::All(4), vec![2, 3, 4, 5], 0));
}

#[test]
fn p10_what_nobody_waits_for_has_a_number_of_its_own() {
    let machine = start(2);
    machine.post_all(1, (0..4).map(logs)).unwrap();
    multicast(|| log(10));
    multicast(|| log(11));
    assert_eq!(flushed(with_posts(8, 1)), (Flushed::More(3), vec![10, 11, 0], 3));
    multicast(|| log(12));
    assert_eq!(flushed(with_posts(8, 2)), (Flushed::More(3), vec![12, 1, 2], 1));
    assert_eq!(flushed(with_posts(1, 8)), (Flushed::All(1), vec![3], 0), "not more than the total");
}

static POSTS_TWO: Csd<fn()> = Csd::new(|| {
    log(0);
    machine().post_all(1, [logs(1), logs(2)]).unwrap();
});

#[test]
fn p10_what_a_flush_ran_by_the_short_way_counts_as_a_post() {
    let machine = start(2);
    machine.post(1, &POSTS_TWO).unwrap();
    assert_eq!(flushed(with_posts(8, 2)), (Flushed::More(2), vec![0, 1], 1));
    assert_eq!(flushed(with_posts(8, 2)), (Flushed::All(1), vec![2], 0));
    machine.post(1, &POSTS_TWO).unwrap();
    assert_eq!(flushed(with_posts(8, 1)), (Flushed::More(1), vec![0], 2));
    let _ = flush(1);
}

#[test]
fn p9_a_flood_of_multicasts_does_not_hold_posts_up_for_ever() {
    let machine = start(2);
    machine.post_all(1, (0..5).map(logs)).unwrap();
    assert_eq!(flushed(budget(1)).1, [0]);
    for post in 1..4 {
        multicast(|| log(10));
        multicast(|| log(10));
        assert_eq!(flushed(budget(2)).1, [10, post], "one post each time");
    }
    assert_eq!(flushed(budget(1)).1, [10], "unless the total is 1");
    assert_eq!(flushed(Budget::DEFAULT).1, [10, 10, 4]);
}

#[test]
fn p7_a_flush_that_stops_again_rings_once_more_and_nobody_else_does() {
    let machine = start(2);
    machine.post_all(1, (0..3).map(logs)).unwrap();
    assert_eq!(rings(), [1]);
    let _ = flushed(budget(1));
    machine.post(1, logs(3)).unwrap();
    assert_eq!((rings(), machine.platform().own_rings.get()), (vec![1], 1), "its own");
    let _ = flushed(budget(1));
    machine.post(1, logs(4)).unwrap();
    assert_eq!((rings(), machine.platform().own_rings.get()), (vec![1], 2), "its own");
    on(1, || machine.poll_begin());
    let _ = flushed(budget(1));
    assert_eq!((rings(), machine.platform().own_rings.get()), (vec![], 2), "it looks");
    assert_eq!(flushed(Budget::DEFAULT), (Flushed::All(2), vec![3, 4], 0));
    // A post to one's own CPU is rung for as any other.
    on(1, || machine.poll_end()).unwrap();
    on(1, || machine.post(1, logs(5))).unwrap();
    assert_eq!((rings(), machine.platform().own_rings.get()), (vec![1], 2));
}

#[test]
fn p12_the_backlog_is_what_the_last_flush_left_over() {
    let machine = start(2);
    assert_eq!((machine.backlog_racy(1), machine.backlog_racy(99)), (0, 0));
    machine.post_all(1, (0..5).map(logs)).unwrap();
    assert_eq!(machine.backlog_racy(1), 0, "what is queued does not count");
    assert_eq!(flushed(budget(2)).2, 3);
    machine.post_all(1, (5..9).map(logs)).unwrap();
    assert_eq!(machine.backlog_racy(1), 3);
    assert_eq!(flushed(budget(2)).2, 5);
    assert_eq!(flushed(Budget::DEFAULT).2, 0);
    machine.post_all(1, (0..2).map(logs)).unwrap();
    assert_eq!(flushed(budget(1)).2, 1);
    on(1, || machine.offline()).unwrap();
    assert_eq!(machine.backlog_racy(1), 0, "going offline has no budget");
}

/// It is behind, and what came in the meantime is more than the flush may run: it has not caught up.
#[test]
fn p12_a_flush_that_runs_the_backlog_and_stops_at_what_came_since_has_not_caught_up() {
    let machine = start(2);
    let posts_three = csd(|| {
        crate::port::machine().post_all(1, (7..10).map(logs)).unwrap();
    });
    machine.post(1, logs(0)).unwrap();
    machine.post(1, posts_three).unwrap();
    assert_eq!(flushed(budget(1)).2, 1);
    assert_eq!(flushed(budget(2)), (Flushed::More(2), vec![7], 2));
    let caught_up = |events: Vec<smpcall::Event>| {
        events.iter().filter(|event| matches!(event.kind, EventKind::CaughtUp { .. })).count()
    };
    assert_eq!(caught_up(events()), 0);
    assert_eq!(flushed(budget(2)), (Flushed::All(2), vec![8, 9], 0));
    assert_eq!(caught_up(events()), 1);
}

#[test]
fn p12_who_was_left_over_how_often_and_for_how_long_is_counted() {
    let machine = start(2);
    let later = |ns| machine.platform().now_ns.set(machine.platform().now_ns.get() + ns);
    let all = [logs(0), logs(1), logs(2)];
    machine.post_all(1, all).unwrap();
    later(1_600);
    let _ = flushed(budget(1));
    let left_over = |event: &smpcall::Event| match event.kind {
        EventKind::LeftOver { csd, len, behind_ns } => Some((event.by, csd, len, behind_ns)),
        _ => None,
    };
    let told: Vec<_> = events().iter().filter_map(left_over).collect();
    assert_eq!(told, [(Some(1), std::ptr::from_ref(all[1]).addr(), 2, Some(0))]);
    later(3_200);
    let _ = flushed(budget(1));
    let counts = counted(Some(1)).left_over;
    assert_eq!((counts.flushes, counts.caught_up, counts.most, counts.now), (2, 0, 2, 1));
    assert_eq!(counts.longest_ns, 3_200, "so far");
    later(1_600);
    let _ = flush(1);
    let counts = counted(Some(1)).left_over;
    assert_eq!((counts.flushes, counts.caught_up, counts.most, counts.now), (2, 1, 2, 0));
    assert_eq!(counts.longest_ns, 4_800, "since the first flush that stopped");
    // Another time, for a shorter time: the longest stays.
    machine.post_all(1, all).unwrap();
    let _ = flushed(budget(2));
    later(160);
    let _ = flush(1);
    let sum = counted_in_all();
    assert_eq!((sum.left_over.flushes, sum.left_over.caught_up, sum.left_over.longest_ns), (3, 2, 4_800));
    let text = sum.to_string();
    assert!(text.contains("3 flushes left over up to 2 for up to 4800 ns"), "{text}");
}

#[test]
fn p12_a_flush_that_keeps_up_counts_nothing_left_over() {
    let machine = start(2);
    machine.post_all(1, (0..300).map(logs)).unwrap();
    assert_eq!(flushed(budget(300)).0, Flushed::All(300));
    assert_eq!(counted_in_all().left_over, smpcall::LeftOver::default());
    assert!(!counted_in_all().to_string().contains("left over"));
}
