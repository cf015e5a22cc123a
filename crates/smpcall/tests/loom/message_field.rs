//! P4, P11: messages that their owner embeds, behind an `Arc`. The counts are std's, which loom does not see.

use crate::port::{Tally, Word, model};
use smpcall::{Cancel, Here, MessageField, MessageOwner, csd_field};
use std::sync::Arc;

/// Its run, in which is a step of loom's, finds it alive.
struct Request {
    step: Word,
    add: MessageField<u32, u32>,
    freed: &'static Tally,
}

csd_field! { impl Request { add(u32) -> u32 } }

impl MessageOwner for Request {
    fn run(this: &Self, value: u32, _: Here<'_>) -> u32 {
        this.step.set(value);
        assert_eq!(this.freed.get(), 0);
        value + 7
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.freed.add();
    }
}

fn request(freed: &'static Tally) -> Arc<Request> {
    Arc::new(Request { step: Word::new(), add: MessageField::new(), freed })
}

/// P4, P11: a sender that looks once and drops its count, against the run that leaves an answer in the owner: who finds the
/// answer has all of it, and the owner is freed once, when nobody reads it. Bounds: one send.
#[test]
fn the_owner_is_freed_once_and_not_under_its_run() {
    model(|m| {
        let freed = m.tally();
        let it = request(freed);
        m.send(1, &it, 4).unwrap();
        let sender = m.thread(None, move || it.add.try_take());
        let _ = m.answer(1);
        let early = sender.join().unwrap();
        assert!(early.is_err() || early == Ok(11));
        m.finish(1);
        assert_eq!(freed.get(), 1);
    });
}

/// P1, P11: cancel, a look and the last count, against the run: the value or the answer is dropped with its owner, or taken.
/// Bounds: one send.
#[test]
fn cancelled_and_dropped_the_owner_is_freed_once() {
    model(|m| {
        let freed = m.tally();
        let it = request(freed);
        m.send(1, &it, 4).unwrap();
        let target = m.thread(None, move || _ = m.answer(1));
        let cancelled = matches!(it.add.cancel(), Cancel::Removed { .. });
        assert!(it.add.try_take().is_err() || !cancelled);
        drop(it);
        target.join().unwrap();
        m.finish(1);
        assert_eq!(freed.get(), 1);
    });
}
