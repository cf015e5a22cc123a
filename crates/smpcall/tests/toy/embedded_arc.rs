//! P11: owners behind an `Arc`. The queue holds a count, which the run is given.

use crate::port::{OwnCpu, flush, log, logged, machine, on, start};
use smpcall::{Cancel, Coalesced, CsdField, CsdOwner, Here, Lent, PostError, Posted, csd_field};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Clone, Copy)]
struct Peek;

/// Logs 100 when it is dropped.
struct Job {
    number: u32,
    rounds: AtomicU32,
    /// Where its run keeps the count, if it is to.
    keep: Option<&'static Mutex<Vec<Arc<Job>>>>,
    csd: CsdField,
    peek: CsdField<Peek>,
}

csd_field! { impl Job { csd, peek: Peek } }

impl CsdOwner for Job {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, here: Here<'_>) {
        log(this.number);
        if this.rounds.load(Ordering::Relaxed) > 0 {
            this.rounds.fetch_sub(1, Ordering::Relaxed);
            machine().post(here.cpu(), &this).unwrap();
        }
        if let Some(keep) = this.keep {
            keep.lock().unwrap().push(this);
            return;
        }
        // Its own count is dropped here, inside its own run.
        drop(this);
        log(99);
    }
}

impl CsdOwner<Peek> for Job {
    type Pointer = Lent;

    fn run(this: &Self, _: Here<'_>) {
        log(50 + this.number);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        log(100);
    }
}

fn job(number: u32, rounds: u32) -> Arc<Job> {
    let rounds = AtomicU32::new(rounds);
    Arc::new(Job { number, rounds, keep: None, csd: CsdField::new(), peek: CsdField::new() })
}

#[test]
fn p11_dropped_inside_its_own_run() {
    let machine = start(1);
    let it = job(1, 0);
    machine.post(0, &it).unwrap();
    assert_eq!(Arc::strong_count(&it), 2);
    drop(it);
    assert_eq!(logged(), [], "the queue holds it");
    let _ = flush(0);
    assert_eq!(logged(), [1, 100, 99]);
}

#[test]
fn p11_while_it_is_queued_nobody_changes_or_moves_it_and_forgotten_it_runs() {
    let machine = start(1);
    let mut it = job(1, 0);
    machine.post(0, (&it, Peek)).unwrap();
    assert!(Arc::get_mut(&mut it).is_none(), "the queue has a count");
    let Err(it) = Arc::try_unwrap(it) else { panic!("the queue has a count") };
    std::mem::forget(it);
    let _ = flush(0);
    assert_eq!(logged(), [51], "whoever forgets a count leaks the owner");
}

#[test]
fn p11_lent_it_is_dropped_after_its_run() {
    let machine = start(1);
    let it = job(1, 0);
    machine.post(0, (&it, Peek)).unwrap();
    drop(it);
    let _ = flush(0);
    assert_eq!(logged(), [51, 100]);
}

#[test]
fn p11_the_run_may_keep_the_count() {
    static KEPT: Mutex<Vec<Arc<Job>>> = Mutex::new(Vec::new());
    let machine = start(1);
    let it = Job {
        number: 1,
        rounds: AtomicU32::new(0),
        keep: Some(&KEPT),
        csd: CsdField::new(),
        peek: CsdField::new(),
    };
    machine.post(0, &Arc::new(it)).unwrap();
    let _ = flush(0);
    assert_eq!(logged(), [1], "not dropped");
    let kept = KEPT.lock().unwrap().pop().unwrap();
    assert_eq!(Arc::strong_count(&kept), 1);
    drop(kept);
    assert_eq!(logged(), [100]);
}

#[test]
fn p5_posted_from_inside_it_lives_until_its_last_run() {
    let machine = start(1);
    machine.post(0, &job(1, 2)).unwrap();
    let _ = flush(0);
    assert_eq!(logged(), [1, 99, 1, 99, 1, 100, 99]);
}

#[test]
fn p11_two_csds_of_it_on_two_cpus_hold_it_each() {
    let machine = start(2);
    let it = job(1, 0);
    machine.post(0, &it).unwrap();
    machine.post(1, (&it, Peek)).unwrap();
    drop(it);
    let _ = flush(0);
    assert_eq!(logged(), [1, 99]);
    let _ = flush(1);
    assert_eq!(logged(), [51, 100]);
}

#[test]
fn p11_the_count_is_given_back_by_cancel_and_by_refusal() {
    let machine = start(2);
    let it = job(1, 0);
    machine.post(0, &it).unwrap();
    assert_eq!(machine.post(1, &it), Ok(Posted::Busy { cpu: 0 }));
    assert_eq!(Arc::strong_count(&it), 2, "Busy takes no count");
    assert_eq!(it.csd.cancel(), Cancel::Removed { coalesced: Coalesced::Yes });
    assert_eq!(Arc::strong_count(&it), 2, "it is still linked");
    let _ = flush(0);
    assert_eq!((logged(), Arc::strong_count(&it)), (vec![], 1));
    let mut walk = Some(&it);
    let chain = std::iter::from_fn(|| {
        let next = walk.take();
        if next.is_none() {
            on(1, || crate::port::machine().offline()).unwrap();
        }
        next
    });
    assert_eq!(on(0, || machine.post_all(1, chain)), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!((logged(), Arc::strong_count(&it)), (vec![], 1));
    drop(it);
    assert_eq!(logged(), [100]);
}

#[test]
fn p11_a_panic_gives_the_count_back() {
    struct Held {
        csd: CsdField,
        _logged: Job,
    }
    csd_field! { impl Held { csd } }
    impl CsdOwner for Held {
        type Pointer = Arc<Self>;
        fn run(this: Arc<Self>, _: Here<'_>) {
            assert!(this.csd.is_pending(), "meant");
        }
    }
    let machine = start(1);
    let inner = Arc::into_inner(job(1, 0)).unwrap();
    machine.post(0, &Arc::new(Held { csd: CsdField::new(), _logged: inner })).unwrap();
    let _ = flush(0);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![100], 1));
}
