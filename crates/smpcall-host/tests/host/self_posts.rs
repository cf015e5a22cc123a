//! A function that posts itself for ever: it takes its turn and no more, and cannot keep a machine from its end.

use crate::site::{Boxed, Count, Flag, IDLES, Site, beside, bounded, counted, cyclic, eventually, rounds};
use smpcall_host::Machine;
use smpcall_host::smpcall::{Budget, Flushed};
use std::sync::Arc;

/// A csd that posts itself to a CPU whenever it runs there, until that is refused.
fn for_ever(site: &Site, cpu: u32) -> (Arc<Boxed>, Arc<Count>) {
    let (handle, runs) = (site.handle(), Arc::new(Count::default()));
    let counts = Arc::clone(&runs);
    let csd = cyclic(|itself| {
        move || {
            counts.up();
            let itself = itself.upgrade().expect("a run holds a count");
            // The answer is Ok, and Offline when the CPU goes.
            let _ = handle.post(cpu, &itself);
        }
    });
    (csd, runs)
}

#[test]
fn p9_others_get_their_turn_and_the_shutdown_ends() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(2, idle);
        let csds = [for_ever(&site, 0), for_ever(&site, 0)];
        for (csd, runs) in &csds {
            site.post(0, csd).unwrap();
            eventually(|| runs.get() > 1_000);
        }
        for _ in 0..rounds(200) {
            assert_eq!(site.call(0, || 1), Ok(1));
            let other = counted(|| ());
            site.post(0, &other).unwrap();
            site.wait(&other).unwrap();
        }
        assert_eq!(site.shutdown(), Ok(()));
        for (csd, runs) in csds {
            let at_the_end = runs.get();
            assert!(!csd.is_pending() && Arc::strong_count(&csd) == 1);
            assert_eq!(runs.get(), at_the_end);
        }
    }
}

#[test]
fn p9_the_shutdown_ends_while_cpus_post_to_each_other_for_ever() {
    let _bounded = bounded();
    for idle in IDLES {
        let site = Site::owned(2, idle);
        let (handle, runs) = (site.handle(), Arc::new(Count::default()));
        let counts = Arc::clone(&runs);
        let csd = cyclic(|itself| {
            move || {
                let itself = itself.upgrade().expect("a run holds a count");
                let _ = handle.post(counts.up() % 2, &itself);
            }
        });
        site.post(0, &csd).unwrap();
        eventually(|| runs.get() > 500);
        assert_eq!(site.shutdown(), Ok(()));
        assert!(!csd.is_pending());
    }
}

#[test]
fn p9_an_attached_thread_comes_back_from_it() {
    let _bounded = bounded();
    let site = Site::new(Machine::builder().owned(1).attachable(1));
    let mut here = site.attach(1).unwrap();
    let (csd, runs) = for_ever(&site, 1);
    site.post(1, &csd).unwrap();
    assert_eq!(here.poll(Budget::DEFAULT), Flushed::More(256));
    assert_eq!(here.park(None), 256, "it does not sleep, and comes back");
    here.poll_begin();
    assert_eq!(here.park(None), 256);
    assert_eq!(site.call(0, || 1), Ok(1), "waiting works beside it");
    let served = Flag::default();
    beside(
        || {
            assert_eq!(site.call(1, || 2), Ok(2));
            served.set();
        },
        || {
            while !served.is_set() {
                let _ = here.poll(Budget::DEFAULT);
            }
        },
    );
    let before = runs.get();
    drop(here);
    assert!(!csd.is_pending(), "refused at the end");
    assert!(runs.get() - before <= 1);
}
