//! P11: counted csds. The counts are std's, which loom does not see; the orders in which the steps come are its own.

use crate::port::{Tally, Word, model};
use smpcall::{Csd, Posted};
use std::sync::Arc;

/// What a csd's function owns.
struct Inside {
    freed: &'static Tally,
    running: Tally,
    step: &'static Word,
}

impl Inside {
    fn run(&self) {
        self.running.set(1);
        self.step.set(1);
        self.running.set(0);
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        assert_eq!(self.running.get(), 0, "P11: freed while its function runs");
        self.freed.add();
    }
}

/// P11: the last handle but the queue's is dropped, against the flush that runs the csd and against going offline. It is
/// freed once, and not while its function runs. Bounds: one post; a step of loom's is inside the function.
#[test]
fn freed_once_and_not_while_it_runs() {
    for offline in [false, true] {
        model(move |m| {
            let (freed, step) = (m.tally(), m.word());
            let inside = Inside { freed, running: Tally::default(), step };
            let csd = Arc::new(Csd::new(move || inside.run()));
            let poster = m.thread(None, move || m.post(1, &csd).is_ok_and(Posted::is_queued));
            if offline {
                let _ = m.on(1, || m.offline()).unwrap();
            } else {
                let _ = m.answer(1);
            }
            let accepted = poster.join().unwrap();
            assert!(accepted || offline);
            m.finish(1);
            assert_eq!((freed.get(), step.get()), (1, u32::from(accepted)));
        });
    }
}

/// P11, P5: posted again by another while it runs: the second count is that run's. Bounds: two posts, one flush.
#[test]
fn each_run_gives_back_its_own_count() {
    model(|m| {
        let (freed, runs) = (m.tally(), m.tally());
        let inside = Inside { freed, running: Tally::default(), step: m.word() };
        let csd = Arc::new(Csd::new(move || {
            runs.add();
            inside.run();
        }));
        m.post(1, &csd).unwrap();
        let poster = m.thread(None, move || u32::from(m.post(1, &csd).is_ok_and(Posted::is_queued)));
        let _ = m.answer(1);
        let oks = 1 + poster.join().unwrap();
        m.finish(1);
        assert_eq!((runs.get(), freed.get()), (oks, 1));
    });
}
