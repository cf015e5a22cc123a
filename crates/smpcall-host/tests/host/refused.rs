//! What is refused, and that nothing is left of it.

use crate::site::{Count, Site, bounded, counted, eventually};
use smpcall_host::smpcall::{CallError, Coalesced, PostError};
use smpcall_host::{Idle, Machine};
use std::sync::Arc;

const OFFLINE: PostError = PostError::Offline { coalesced: Coalesced::No };

#[test]
fn p1_a_cpu_that_there_is_not() {
    let _bounded = bounded();
    let site = Site::owned(2, Idle::Sleep);
    let csd = counted(|| ());
    for cpu in [2, 3, 8192, 0xffff, 0x1_0000, u32::MAX] {
        assert_eq!(site.post(cpu, &csd), Err(PostError::NoSuchCpu));
        assert_eq!(site.post_all(cpu, [&csd]), Err(PostError::NoSuchCpu));
        assert_eq!(site.call(cpu, || ()), Err(CallError::NoSuchCpu));
        assert!(!site.is_online_racy(cpu));
    }
    assert!(!csd.is_pending());
    assert_eq!(Arc::strong_count(&csd), 1, "no count is kept");
}

#[test]
fn p8_a_cpu_to_which_nobody_has_attached_yet_or_any_more() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    let csd = counted(|| ());
    for _ in 0..2 {
        assert!(site.is_online_racy(0) && !site.is_online_racy(1));
        assert_eq!(site.post(1, &csd), Err(OFFLINE));
        assert_eq!(site.post_all(1, [&csd]), Err(OFFLINE));
        assert_eq!(site.call(1, || ()), Err(CallError::Offline));
        assert_eq!(site.call(0, || site.post(1, &csd)), Ok(Err(OFFLINE)), "and so it is for other CPUs");
        assert!(!csd.is_pending());
        assert_eq!(Arc::strong_count(&csd), 1);
        drop(site.attach(1).unwrap());
    }
}

#[test]
fn p8_a_call_that_is_refused_drops_its_function() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().attachable(1));
    for cpu in [0, 1] {
        let captured = Arc::new(());
        let inside = Arc::clone(&captured);
        site.call(cpu, move || drop(inside)).unwrap_err();
        assert_eq!(Arc::strong_count(&captured), 1);
    }
}

#[test]
fn p8_after_the_end_everything_is_refused() {
    let _bounded = bounded();
    for idle in crate::site::IDLES {
        let site = Site::owned(2, idle);
        let runs = Arc::new(Count::default());
        let csd = {
            let runs = Arc::clone(&runs);
            counted(move || _ = runs.up())
        };
        site.post(1, &csd).unwrap();
        site.shutdown().unwrap();
        assert_eq!(runs.get(), 1, "accepted before, run before the end");
        for cpu in 0..2 {
            assert_eq!(site.post(cpu, &csd), Err(OFFLINE));
            assert_eq!(site.post_all(cpu, [&csd]), Err(OFFLINE));
            assert_eq!(site.call(cpu, || ()), Err(CallError::Offline));
            assert!(!site.is_online_racy(cpu));
        }
        assert_eq!(site.wait(&csd), Ok(()), "there is nothing to wait for");
        assert_eq!((runs.get(), csd.is_pending()), (1, false));
    }
}

#[test]
fn p10_the_other_side_of_a_refusal_goes_on() {
    let _bounded = bounded();
    let site = Site::owned(1, Idle::Sleep);
    let runs = Arc::new(Count::default());
    let csd = {
        let runs = Arc::clone(&runs);
        counted(move || _ = runs.up())
    };
    for _ in 0..100 {
        site.post(7, &csd).unwrap_err();
        site.call(7, || ()).unwrap_err();
    }
    site.post(0, &csd).unwrap();
    eventually(|| runs.get() == 1);
    assert_eq!(site.counts().panics, 0);
}
