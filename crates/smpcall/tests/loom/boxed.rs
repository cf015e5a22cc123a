//! P11: owned closures. Their memory is the model's to see: its header is written to when it is freed.

use crate::port::{Tally, model};

struct Inside(&'static Tally);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// P1, P11: a post against the flush that frees it, and against going offline: it is run and freed once, or handed back, and
/// the poster does not touch what the run may have freed. Bounds: one post.
#[test]
fn run_and_freed_once_or_handed_back() {
    for offline in [false, true] {
        model(move |m| {
            let (freed, runs) = (m.tally(), m.tally());
            let inside = Inside(freed);
            let function = move || {
                let held = &inside;
                assert_eq!(held.0.get(), 0);
                runs.add();
            };
            let poster = m.thread(None, move || m.post_boxed(1, function).is_ok());
            if offline {
                let _ = m.on(1, || m.offline()).unwrap();
            } else {
                let _ = m.answer(1);
            }
            let accepted = poster.join().unwrap();
            m.finish(1);
            assert!(accepted || offline);
            assert_eq!((freed.get(), runs.get()), (1, u32::from(accepted)));
        });
    }
}
