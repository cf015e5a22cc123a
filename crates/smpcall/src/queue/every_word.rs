//! Every transition from every value that the head word can have, by the compiled functions themselves: what each leaves, and what it
//! answers. The values are found, not listed: what the transitions lead to, from a CPU that never came online. Of a header's address only
//! its bits count; two headers stand for all.
//!
//! A transition is one read-modify-write, so what holds of each from each value holds however they are interleaved.

use super::{GoIdle, Head, List, Pushed, Seen, Word};
use crate::csd::Header;
use crate::sync::AtomicPtr;
use core::ptr;

/// The words found so far.
const WORDS_MAX: usize = 64;

struct Found {
    words: [*mut Header; WORDS_MAX],
    len: usize,
}

impl Found {
    fn add(&mut self, word: *mut Header) {
        if !self.words[..self.len].contains(&word) {
            self.words[self.len] = word;
            self.len += 1;
        }
    }
}

/// A mark is no list, although all but one are an empty one.
fn is_list(word: *mut Header) -> bool {
    matches!(Seen::of(word), Seen::List(_))
}

/// Applies a transition; what it answers, and what it leaves.
fn apply<R>(word: *mut Header, transition: impl FnOnce(&Head) -> R) -> (R, *mut Header) {
    let head = Head(AtomicPtr::new(word));
    let answer = transition(&head);
    (answer, head.look_word().word())
}

/// What anyone does, besides pushing: I7, and I8 where it takes the debt.
fn assert_kept(before: *mut Header, after: *mut Header) {
    assert_eq!(List::of(before).newest(), List::of(after).newest(), "no header is lost");
    assert!(!is_list(before) || is_list(after), "I7: a list stays one");
    assert!(before == after || is_list(after), "I7: nobody else puts a mark");
}

fn others_steps(word: *mut Header, headers: &[Header; 2], expected: &[*mut Header], found: &mut Found) {
    let (seen, list) = (Seen::of(word), List::of(word));
    for &expected in expected {
        // Who finds it offline does not push.
        if Seen::of(expected) == Seen::Offline && seen != Seen::Offline {
            continue;
        }
        for header in headers.iter().filter(|header| !ptr::eq(*header, list.newest())) {
            for awaited in [false, true] {
                // SAFETY: the header is the test's, and outlives the head.
                let push = |head: &Head| unsafe { head.push(header, header, awaited, Seen::of(expected)) };
                let (pushed, after) = apply(word, push);
                if seen == Seen::Offline {
                    assert_eq!((pushed, after), (Pushed::Refused, word), "P8");
                    continue;
                }
                assert_eq!(pushed, if seen.owes_the_ring() { Pushed::Ring } else { Pushed::Seen }, "I8");
                let new = List::of(after);
                assert!(ptr::eq(new.newest(), header) && !new.is_owed(), "it is the newest, and rung for");
                // SAFETY: as above.
                assert_eq!(unsafe { header.next() }, list.newest(), "what was there is behind it");
                assert_eq!(new.is_called(), seen != Seen::Idle && list.is_called());
                assert_eq!(new.is_awaited(), awaited || is_list(word) && list.is_awaited(), "P6");
                found.add(after);
            }
        }
        let (notified, after) = apply(word, |head| head.notify(Word::of(expected)));
        if seen == Seen::Offline {
            assert_eq!((notified, after), (Pushed::Refused, word), "P8");
        } else {
            assert_eq!(notified, if seen.owes_the_ring() { Pushed::Ring } else { Pushed::Seen }, "I8");
            assert_kept(word, after);
            assert!(List::of(after).is_called() && !List::of(after).is_owed());
            found.add(after);
        }
    }
    for header in headers.iter().filter(|header| !ptr::eq(*header, list.newest())) {
        // SAFETY: as above.
        let (pushed, after) = apply(word, |head| unsafe { head.push_unless_idle(header) });
        assert_eq!(pushed, !seen.owes_the_ring() && seen != Seen::Offline);
        assert_eq!(ptr::eq(List::of(after).newest(), header), pushed);
        found.add(after);
    }
    let ((), after) = apply(word, Head::owe);
    assert_kept(word, after);
    assert_eq!(after, if is_list(word) { list.owed().word() } else { word }, "a mark owes nothing");
    found.add(after);
    let (paid, after) = apply(word, Head::pay);
    assert_kept(word, after);
    assert_eq!(paid, is_list(word) && list.is_owed(), "I8: who takes the debt is told so");
    assert!(!is_list(after) || !List::of(after).is_owed());
    found.add(after);
}

fn owners_steps(word: *mut Header, found: &mut Found) {
    let (seen, list) = (Seen::of(word), List::of(word));
    let (taken, after) = apply(word, |head| head.take(|_| ()));
    assert_eq!(taken, is_list(word).then_some(list), "all that was pushed");
    assert_eq!(after, if is_list(word) { Seen::Polling.word() } else { word });
    found.add(after);
    let ((), after) = apply(word, Head::start_polling);
    assert_eq!(after, if seen == Seen::Idle { Seen::Polling.word() } else { word }, "I7");
    found.add(after);
    for go_idle in [Head::go_idle, Head::go_idle_after_take] {
        if seen == Seen::Polling || is_list(word) {
            let (idle, after) = apply(word, go_idle);
            assert_eq!(idle, if is_list(word) { GoIdle::Work } else { GoIdle::Idle }, "P7");
            assert_eq!(after, if is_list(word) { word } else { Seen::Idle.word() });
            found.add(after);
        }
    }
    if !is_list(word) && seen != Seen::Polling {
        assert_eq!(apply(word, Head::go_idle), (GoIdle::Idle, word), "nothing is written");
    }
    let (accepted, after) = apply(word, Head::close);
    assert_eq!(accepted, if is_list(word) { list } else { List::EMPTY }, "P8: all that was accepted");
    assert_eq!(Seen::of(after), Seen::Offline);
    found.add(after);
    let (opened, after) = apply(word, Head::open);
    assert_eq!(opened, seen == Seen::Offline);
    assert_eq!(after, if opened { Seen::Idle.word() } else { word });
    found.add(after);
}

#[test]
fn a_step_from_every_word_that_there_can_be() {
    let headers = [Header::new(), Header::new()];
    let mut found = Found { words: [ptr::null_mut(); WORDS_MAX], len: 0 };
    found.add(Seen::OFFLINE_WORD);
    let (mut at, mut known) = (0, 0);
    while at < found.len || known < found.len {
        // Once more with all that was found: it is what a poster may have expected.
        if at == found.len {
            (at, known) = (0, found.len);
        }
        let word = found.words[at];
        let marks_awaited = is_list(word) && List::of(word).newest().is_null() && !List::of(word).is_called();
        assert!(!marks_awaited, "a list has a header, or is called: {word:?}");
        let expected = found.words;
        others_steps(word, &headers, &expected[..found.len.max(1)], &mut found);
        owners_steps(word, &mut found);
        at += 1;
    }
    // Three marks; each header with any of three bits; no header, but called, owed or not.
    assert_eq!(found.len, 3 + 2 * 8 + 2);
}
