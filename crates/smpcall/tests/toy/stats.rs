//! P12: the ready-made counters.

use crate::port::{PAUSE_NS, as_cpu, counted, counted_in_all, csd, flush, log, logs, machine, on, start};
use smpcall::{Counts, CpuStats, Histogram, Posted, Stats, To};
use std::rc::Rc;

#[test]
fn p12_posts_are_counted_where_they_are_made_and_runs_where_they_run() {
    let machine = start(2);
    let (first, second) = (logs(1), logs(2));
    on(0, || machine.post(1, first)).unwrap();
    machine.post(1, second).unwrap();
    for _ in 0..3 {
        assert_eq!(on(0, || machine.post(1, first)), Ok(Posted::Busy { cpu: 1 }));
    }
    assert_eq!(machine.post(3, first), Ok(Posted::Busy { cpu: 1 }));
    machine.post_all(2, [first]).unwrap_err();
    let _ = flush(1);
    let zero = Counts::default();
    let by_0 = counted(Some(0));
    assert_eq!((by_0.queued, by_0.busy, by_0.rings, by_0.saved, by_0.ran), (1, 3, 1, 0, 0));
    let by_none = counted(None);
    // The csd was queued when CPU 3 was asked: it was told Busy, and the chain refused.
    assert_eq!((by_none.queued, by_none.busy, by_none.refused, by_none.saved), (1, 1, 1, 1));
    let by_1 = counted(Some(1));
    assert_eq!((by_1.ran, by_1.batches, by_1.queued), (2, 1, 0));
    assert_eq!((by_1.batch_lens.buckets()[1], by_1.batch_lens.len()), (1, 1), "one batch of two");
    assert_eq!(counted(Some(2)), zero);
    let sum = counted_in_all();
    assert_eq!((sum.queued, sum.ran, sum.busy, sum.rings + sum.saved), (2, 2, 4, 2));
}

#[test]
fn p12_what_was_queued_has_run_or_is_queued() {
    let machine = start(3);
    *machine.platform().on_pause.borrow_mut() = Some(Rc::new(|| _ = (flush(0), flush(1), flush(2))));
    let all = [logs(1), logs(2), logs(3)];
    let mut queued = 0;
    for round in 0..50 {
        for (at, csd) in all.into_iter().enumerate() {
            queued += u64::from(machine.post((at as u32 + round) % 3, csd).is_ok_and(Posted::is_queued));
        }
        let _ = machine.call_many(To::All, || log(4)).unwrap();
        machine.call(1, || ()).unwrap();
        queued += 4;
        let _ = all[0].cancel();
    }
    let _ = (flush(0), flush(1), flush(2));
    let sum = counted_in_all();
    assert_eq!((sum.queued, sum.ran), (queued, queued), "cancelled ones too");
    assert_eq!((sum.queued_ns.len(), sum.ran_ns.len()), (sum.ran, sum.ran));
    assert!(sum.batches <= sum.ran && sum.batch_lens.len() == sum.batches);
}

#[test]
fn p12_a_cpu_without_a_row_is_counted_with_the_others() {
    let machine = start(1);
    as_cpu(Some(99), || machine.post(0, logs(1))).unwrap();
    assert_eq!(counted(None).queued, 1);
    let rows: [CpuStats; 0] = [];
    let stats = Stats::new(rows);
    machine.platform().events.borrow().iter().for_each(|event| stats.count(event));
    assert_eq!((stats.total(), stats.cpu(0)), (stats.others(), None));
    let _ = flush(0);
}

#[test]
fn p12_latencies_fall_into_their_buckets() {
    let machine = start(2);
    let takes_a_pause = csd(|| {
        let machine = crate::port::machine();
        let now_ns = &machine.platform().now_ns;
        now_ns.set(now_ns.get() + PAUSE_NS);
    });
    machine.post(1, takes_a_pause).unwrap();
    machine.platform().now_ns.set(4096);
    let _ = flush(1);
    let counted = counted(Some(1));
    assert_eq!((counted.queued_ns.buckets()[12], counted.queued_ns.below(500)), (1, Some(8192)));
    assert_eq!((counted.ran_ns.buckets()[9], counted.ran_ns.below(990)), (1, Some(1024)));
    let text = counted.to_string();
    assert!(text.contains("1 ran") && text.contains("queued ns p50 < 8192"), "{text}");
}

#[test]
fn p12_an_empty_histogram_says_so() {
    let empty = Histogram::default();
    assert_eq!((empty.len(), empty.is_empty(), empty.below(0), empty.below(5000)), (0, true, None, None));
    start(1);
    assert!(!machine().platform().events.borrow().iter().any(|_| true));
    assert_eq!(counted_in_all(), Counts::default());
}
