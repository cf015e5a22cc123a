//! P11: counted csds. The queue holds a count, and gives it back when it has let go of the csd.

use crate::port::{OwnCpu, flush, log, logged, machine, on, start};
use smpcall::{Cancel, Coalesced, Csd, PostError, Posted};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Logs 100 when it is dropped.
struct Logged;

impl Drop for Logged {
    fn drop(&mut self) {
        log(100);
    }
}

fn counted(entry: u32) -> Arc<Csd<impl Fn() + Send + Sync + 'static>> {
    let logged = Logged;
    Arc::new(Csd::new(move || {
        let _held = &logged;
        log(entry);
    }))
}

#[test]
fn p11_freed_only_after_its_function_has_returned() {
    let machine = start(1);
    let csd = counted(1);
    machine.post(0, &csd).unwrap();
    assert_eq!(Arc::strong_count(&csd), 2);
    drop(csd);
    assert_eq!(logged(), [], "the queue holds it");
    let _ = flush(0);
    assert_eq!(logged(), [1, 100]);
}

#[test]
fn p11_the_count_is_given_back_by_each_run() {
    let machine = start(1);
    let csd = counted(1);
    for _ in 0..3 {
        machine.post(0, &csd).unwrap();
        assert_eq!(machine.post(0, &csd), Ok(Posted::Busy { cpu: 0 }));
        assert_eq!(Arc::strong_count(&csd), 2, "Busy takes no count");
        let _ = flush(0);
        assert_eq!(Arc::strong_count(&csd), 1);
    }
    drop(csd);
    assert_eq!(logged(), [1, 1, 1, 100]);
}

#[test]
fn p11_the_count_is_given_back_by_cancel_and_flush() {
    let machine = start(1);
    let csd = counted(1);
    machine.post(0, &csd).unwrap();
    assert_eq!(csd.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    assert_eq!(Arc::strong_count(&csd), 2, "it is still linked");
    drop(csd);
    assert_eq!(logged(), []);
    let _ = flush(0);
    assert_eq!(logged(), [100]);
}

#[test]
fn p11_the_count_is_given_back_when_the_run_was_given_back() {
    let machine = start(1);
    let csd = counted(1);
    machine.post(0, &csd).unwrap();
    let _ = csd.cancel();
    assert_eq!(machine.post(0, &csd), Ok(Posted::Busy { cpu: 0 }));
    let _ = flush(0);
    assert_eq!((logged(), Arc::strong_count(&csd)), (vec![1], 1));
}

#[test]
fn p11_a_refused_post_keeps_no_count() {
    let machine = start(2);
    let csd = counted(1);
    assert_eq!(machine.post(3, &csd), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(machine.post(9, &csd), Err(PostError::NoSuchCpu));
    assert_eq!(machine.post_all(3, [&csd]), Err(PostError::Offline { coalesced: Coalesced::No }));
    // Refused at the push: the CPU goes between the claim and it.
    let mut walk = Some(&csd);
    let chain = std::iter::from_fn(|| {
        let next = walk.take();
        if next.is_none() {
            on(1, || crate::port::machine().offline()).unwrap();
        }
        next
    });
    assert_eq!(on(0, || machine.post_all(1, chain)), Err(PostError::Offline { coalesced: Coalesced::No }));
    assert_eq!(Arc::strong_count(&csd), 1);
    drop(csd);
    assert_eq!(logged(), [100]);
}

#[test]
fn p11_the_count_is_given_back_when_the_function_panics() {
    let machine = start(1);
    let held = Logged;
    let csd = Arc::new(Csd::new(move || {
        let _held = &held;
        panic!("meant");
    }));
    machine.post(0, &csd).unwrap();
    drop(csd);
    let _ = flush(0);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![100], 1));
}

#[test]
fn p11_a_closure_whose_drop_panics_does_not_stop_the_target() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("meant");
        }
    }
    let machine = start(1);
    let bad = Bad;
    let csd = Arc::new(Csd::new(move || _ = &bad));
    machine.post(0, &csd).unwrap();
    machine.post(0, crate::port::logs(1)).unwrap();
    drop(csd);
    let _ = flush(0);
    assert_eq!((logged(), machine.platform().caught.get()), (vec![1], 1));
}

#[test]
fn p5_posted_from_inside_it_lives_until_its_last_run() {
    type Counted = Csd<Box<dyn Fn() + Send + Sync>>;
    let _ = start(1);
    let csd = Arc::new_cyclic(|me: &std::sync::Weak<Counted>| {
        let (me, held, rounds) = (me.clone(), Logged, AtomicU32::new(0));
        Counted::new(Box::new(move || {
            let _held = &held;
            log(1);
            if rounds.fetch_add(1, Ordering::Relaxed) < 2 {
                machine().post(0, &me.upgrade().expect("the run holds a count")).unwrap();
            }
        }))
    });
    machine().post(0, &csd).unwrap();
    drop(csd);
    let _ = flush(0);
    assert_eq!(logged(), [1, 1, 1, 100]);
}
