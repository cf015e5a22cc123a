//! P11: owners that embed a csd: pinned ones against their drop, counted ones against the last count.

use crate::port::{Place, Tally, model, model_within};
use smpcall::{Cancel, CsdField, CsdOwner, Here, Lent, Posted, csd_field};
use std::pin::pin;
use std::sync::Arc;

/// Its run reads what its drop writes.
struct Visit {
    csd: CsdField,
    place: Place,
    runs: &'static Tally,
}

csd_field! { impl Visit { csd } }

impl CsdOwner for Visit {
    type Pointer = Lent;

    fn run(this: &Self, here: Here<'_>) {
        assert_eq!((this.place.read(), here.cpu() < 2), (7, true));
        this.runs.add();
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.place.write(0);
    }
}

/// P11: the drop of a pinned owner against the flush that runs it. If the cancel comes first, the run does not happen, and the
/// drop waits until the flush has let go; if the unlock does, it waits until the run has ended. Bounds: one post, at most 2
/// preemptions.
#[test]
fn a_pinned_owner_is_left_when_its_run_has_ended() {
    model_within(2, |m| {
        let runs = m.tally();
        let target = {
            let visit = pin!(m.pinned(Visit { csd: CsdField::new(), place: Place::new(), runs }));
            visit.place.write(7);
            m.post(1, visit.as_ref()).unwrap();
            m.thread(None, move || _ = m.answer(1))
        };
        target.join().unwrap();
        assert!(runs.get() <= 1 && !m.finish(1));
    });
}

/// P5, P11: a pinned owner whose first run may be under way on one CPU while it is queued for another, and is dropped: the drop
/// waits for both. Bounds: two posts, the second to the CPU of who drops; at most 2 preemptions.
#[test]
fn a_pinned_owner_on_two_cpus_is_left_by_both() {
    model_within(2, |m| {
        let runs = m.tally();
        let target = m.on(0, || {
            let visit = pin!(m.pinned(Visit { csd: CsdField::new(), place: Place::new(), runs }));
            visit.place.write(7);
            m.post(1, visit.as_ref()).unwrap();
            let target = m.thread(None, move || _ = m.answer(1));
            match m.post(0, visit.as_ref()) {
                Ok(Posted::Queued) => assert!(visit.csd.is_pending()),
                busy => assert_eq!(busy, Ok(Posted::Busy { cpu: 1 })),
            }
            target
        });
        target.join().unwrap();
        assert!(runs.get() <= 2 && !m.finish(1) && !m.finish(0));
    });
}

#[derive(Clone, Copy)]
struct Other;

/// Two csds, each of which is given a count, and drops it.
struct Shared {
    csd: CsdField,
    other: CsdField<Other>,
    freed: &'static Tally,
    runs: &'static Tally,
}

csd_field! { impl Shared { csd, other: Other } }

impl CsdOwner for Shared {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, _: Here<'_>) {
        this.runs.add();
    }
}

impl CsdOwner<Other> for Shared {
    type Pointer = Lent;

    fn run(this: &Self, _: Here<'_>) {
        assert_eq!(this.freed.get(), 0);
        this.runs.add();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.freed.add();
    }
}

/// P11: an owner that is posted to two CPUs and dropped: it is freed once, by whoever comes last, the poster or either run.
/// Bounds: the counts are std's, which loom does not see; the orders in which the steps come are its own.
#[test]
fn posted_to_two_cpus_and_dropped_it_is_freed_once() {
    model(|m| {
        let (freed, runs) = (m.tally(), m.tally());
        let it = Arc::new(Shared { csd: CsdField::new(), other: CsdField::new(), freed, runs });
        let poster = m.thread(None, move || {
            m.post(0, &it).unwrap();
            m.post(1, (&it, Other)).unwrap();
        });
        let _ = m.answer(1);
        let _ = m.answer(0);
        poster.join().unwrap();
        let _ = (m.finish(0), m.finish(1));
        assert_eq!((freed.get(), runs.get()), (1, 2));
    });
}

/// P1, P11: cancel, and then the last count, against the flush that gives the count to the run: it runs or is taken away, and is
/// freed once, in either case. Bounds: one post.
#[test]
fn cancelled_and_dropped_it_is_freed_once() {
    model(|m| {
        let (freed, runs) = (m.tally(), m.tally());
        let it = Arc::new(Shared { csd: CsdField::new(), other: CsdField::new(), freed, runs });
        m.post(1, &it).unwrap();
        let owner = m.thread(None, move || matches!(it.csd.cancel(), Cancel::Removed { .. }));
        let _ = m.answer(1);
        let cancelled = owner.join().unwrap();
        m.finish(1);
        assert_eq!((freed.get(), runs.get()), (1, u32::from(!cancelled)));
    });
}
