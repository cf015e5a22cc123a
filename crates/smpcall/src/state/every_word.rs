//! Every transition from every value of the word, by the compiled functions themselves: what each leaves, and what it answers.
//!
//! A transition is one read-modify-write, so what holds of each from each value holds however they are interleaved; which of them sees
//! what else was written, the models say. The low and the high byte have every value; the CPU's number, which is only copied, compared
//! and counted down by one, has the first, the last, and some between, and with a few of the other bits every one.

use super::word::{
    CANCELLED, COALESCED, CPU, CPU_SHIFT, DEFERRED, KIND, Kind, LAZY, LINKED, LOCK, PARKED, RUNS, RUNS_SHIFT,
    waiting,
};
use super::{Claim, Linked, Park, Snapshot, State, Urgency};
use crate::sync::AtomicU32;

/// The target of the transitions.
const HERE: u32 = 1;
/// What the CPU's field of a word has: nobody, the target's neighbour, the target, others.
const FIELDS: [u32; 6] = [0, 1, HERE + 1, 3, 0x8000, 0xffff];

/// All words, or as many as tell them apart.
fn words() -> impl Iterator<Item = u32> {
    let bytes = (0..=0xff_u32).flat_map(|low| (0..=0xff_u32).map(move |high| low | high << 24));
    let by_fields = bytes.flat_map(|bytes| FIELDS.map(|field| bytes | field << CPU_SHIFT));
    let few = [0, LOCK, LOCK | LAZY, LOCK | CANCELLED, LOCK | LAZY | LINKED | COALESCED];
    by_fields.chain(few.into_iter().flat_map(|bits| (0..=0xffff).map(move |field| bits | field << CPU_SHIFT)))
}

/// Those that are free, or name a CPU: a csd's.
fn words_of_csds() -> impl Iterator<Item = u32> {
    words().filter(|word| word & LOCK == 0 || word & CPU != 0)
}

/// Applies a transition to a word; what it answers, and what it leaves.
fn apply<R>(word: u32, transition: impl FnOnce(&State) -> R) -> (R, u32) {
    let state = State(AtomicU32::new(word));
    let answer = transition(&state);
    (answer, state.look_racy().0)
}

/// I3: what does not change while a word is locked.
fn assert_same_claim(before: u32, after: u32) {
    assert_eq!((before ^ after) & (LOCK | KIND | CPU | RUNS), 0, "I3: {before:#x} -> {after:#x}");
}

/// What a loser leaves and is told (I1, I3, P2).
fn assert_lost(word: u32, urgency: Urgency, lost: &Claim, after: u32) {
    assert_same_claim(word, after);
    let target = (word >> CPU_SHIFT & 0xffff) - 1;
    if word & CANCELLED != 0 && target != HERE {
        assert_eq!((lost, after), (&Claim::Cancelled(target), word), "no run is promised: {word:#x}");
        return;
    }
    assert!(Snapshot(after).is_pending() && after & COALESCED != 0, "P2: told Busy: {word:#x} -> {after:#x}");
    // Of what else may change, only LAZY is taken off, and only DEFERRED put on.
    let (off, on) = (word & !after & !CANCELLED, after & !word & !COALESCED);
    let linked = word & LINKED != 0;
    let expedited = word & LAZY != 0 && linked && urgency != Urgency::Lazy;
    assert_eq!(off, if urgency == Urgency::Now && !linked { word & LAZY } else { 0 }, "{word:#x}");
    let defers = urgency == Urgency::Deferred && word & LAZY != 0 && !linked;
    assert_eq!(on, if defers { DEFERRED & !word } else { 0 }, "{word:#x}");
    assert_eq!(*lost, if expedited { Claim::Expedited(target) } else { Claim::Busy(target) }, "{word:#x}");
}

#[test]
fn a_claim_of_every_word() {
    for word in words_of_csds() {
        for urgency in [Urgency::Now, Urgency::Lazy, Urgency::Deferred] {
            let (claim, after) = apply(word, |state| state.claim(HERE, urgency));
            let (relied, told) = apply(word, |state| state.rely(HERE, urgency));
            if word & LOCK == 0 {
                let lazy = if urgency == Urgency::Now { 0 } else { LAZY };
                assert_eq!(claim, Claim::Won, "{word:#x}");
                assert_eq!(after, LOCK | lazy | (HERE + 1) << CPU_SHIFT | word & RUNS, "{word:#x}");
                assert_eq!((relied, told), (None, word), "who only relies wins nothing");
            } else {
                assert_lost(word, urgency, &claim, after);
                assert_eq!((relied, told), (Some(claim), after), "as a claim that is lost");
            }
        }
        let (claimed, after) = apply(word, |state| state.claim_unshared(HERE, Kind::Detached));
        assert_eq!(claimed, word & LOCK == 0);
        let of_detached = LOCK | Kind::Detached as u32 | (HERE + 1) << CPU_SHIFT | word & RUNS;
        assert_eq!(after, if claimed { of_detached } else { word });
        if word & LOCK != 0 {
            let (is_to_run, after) = apply(word, |state| state.rely_once(Snapshot(word)));
            assert_eq!(is_to_run, word & (CANCELLED | LAZY) == 0);
            assert_eq!(after, if is_to_run { word | COALESCED } else { word });
        }
    }
}

#[test]
fn an_end_of_every_words_claim() {
    for word in words() {
        let (seen, after) = apply(word, |state| state.unlock(HERE));
        assert_eq!(seen.0, word, "who unlocks answers for what it took off");
        assert!(Snapshot(after).is_free() && !Snapshot(after).is_pending());
        assert_eq!(after & !RUNS, (HERE + 1) << CPU_SHIFT, "nothing else is left");
        assert_eq!(Snapshot(after).cpu(), Some(HERE), "where it ran last");
        assert_eq!(Snapshot(after).runs(), (Snapshot(word).runs() + 1) % 32, "one run from the next");

        let (cancelled, after) = apply(word, State::cancel);
        let takes = Snapshot(word).is_pending() && !Snapshot(word).is_sync();
        assert_eq!(cancelled.map(|seen| seen.0), takes.then_some(word), "{word:#x}");
        assert_eq!(after, if takes { (word | CANCELLED) & !COALESCED } else { word });
        assert!(!takes || !Snapshot(after).is_pending(), "its run is taken away, once");

        if word & LOCK == 0 {
            let (passed, after) = apply(word, |state| state.pass(HERE, Snapshot(word)));
            assert!(passed && after == apply(word, |state| state.unlock(HERE)).1, "as a claim and its end");
        }
        let (passed, after) = apply(word, |state| state.pass(HERE, Snapshot(word ^ LOCK)));
        assert_eq!((passed, after), (false, word), "somebody was faster");
    }
}

#[test]
fn a_lazy_step_of_every_word() {
    for word in words_of_csds() {
        let runs = Snapshot(word).runs();
        let (linked, after) = apply(word, |state| state.link(runs));
        let is = match (word & LOCK, word & LAZY, word & DEFERRED) {
            (0, ..) => Linked::Run,
            (_, 0, _) => Linked::Expedited,
            (_, _, 0) => Linked::Lazy,
            _ => Linked::Deferred,
        };
        assert_eq!(after, if is == Linked::Run { word } else { word | LINKED });
        assert_eq!(linked, is, "{word:#x}");
        let later = apply(word, |state| state.link((runs + 1) % 32));
        assert_eq!(later, (Linked::Run, word), "a later claim's");

        let (notified, after) = apply(word, State::expedite);
        let lazy = word & (LOCK | LAZY) == LOCK | LAZY;
        let linked = word & LINKED != 0;
        assert_eq!(notified, if lazy && linked { Snapshot(word).cpu() } else { None }, "{word:#x}");
        assert_eq!(after, if lazy && !linked { word & !LAZY } else { word });
    }
}

#[test]
fn a_waiters_step_of_every_word() {
    for word in words() {
        let (seen, after) = apply(word, State::complete);
        assert_eq!((seen.0, after), (word, 0));
        assert_eq!(apply(word, State::complete_spinning).1, 0);
        let (done, after) = apply(word, State::is_done);
        assert_eq!((done, after), (word & LOCK == 0, word));
        let (park, after) = apply(word, State::park);
        let sleeps = word & LOCK != 0;
        assert_eq!(park, if sleeps { Park::Sleep } else { Park::Done });
        assert_eq!(after, if sleeps { word | PARKED } else { word });
        let (_, dequeued) = apply(word, State::set_dequeued);
        assert_same_claim(word, dequeued);
        assert!(Snapshot(dequeued).is_dequeued() && (word ^ dequeued) & PARKED == 0, "who sleeps is woken");

        let waiter = HERE as u16 + 1;
        let (claimed, after) = apply(word, |state| state.claim_wake(waiter));
        assert_eq!(claimed, word & LOCK == 0);
        assert_eq!(after, if claimed { waiting(waiter, Kind::Wake) | word & RUNS } else { word });
        let (comes, after) = apply(word, |state| state.rely_on_wake(waiter));
        let is_ours =
            Snapshot(word).is_wake() && !Snapshot(word).is_free() && Snapshot(word).waiter() == waiter;
        assert_eq!(comes, is_ours, "{word:#x}");
        assert_eq!(after, if comes { word | COALESCED } else { word });
    }
}

const _: () = assert!(RUNS >> RUNS_SHIFT == 31, "runs are counted modulo 32");
