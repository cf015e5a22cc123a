//! Sound records of runs with awaited calls, doctored one thing at a time; and that there is something in them of all that the checker
//! looks at.

use crate::check::first_violation;
use crate::engine::End;
use crate::history::{Act, Answer, Came, Event, EventKind, History, Level, Of, Part};
use crate::scenario::{Options, Scenario};
use crate::sim::play_and_tell;

fn records() -> impl Iterator<Item = (Scenario, History)> {
    (0..200).map(|seed| {
        let scenario = Scenario::draw(seed, &Options { futures: true, ..Options::default() });
        let (outcome, history) = play_and_tell(&scenario);
        assert_eq!(outcome.violation, None, "seed {seed}");
        (scenario, history)
    })
}

/// Doctors every record, where that can be done; this promise must be found broken in `least` of them, and no other.
#[track_caller]
fn broken(promise: &str, least: usize, doctor: impl Fn(&mut History) -> bool) {
    let mut found = 0;
    for (scenario, mut history) in records() {
        if doctor(&mut history) {
            let violation = first_violation(&scenario, &history, End::Done);
            let named = violation.as_ref().map(|violation| violation.promise);
            assert!(named.is_none_or(|named| named.starts_with(promise)), "{violation:?}");
            found += usize::from(named.is_some());
        }
    }
    assert!(found >= least, "{found}");
}

fn change(history: &mut History, f: impl FnMut(&mut Event) -> bool) -> bool {
    history.iter_mut().any(f)
}

#[test]
fn all_that_may_become_of_a_future_does() {
    let mut seen = std::collections::BTreeMap::new();
    let mut see = |what: &'static str| *seen.entry(what).or_insert(0) += 1;
    for (scenario, history) in records() {
        for event in &history {
            match event.kind {
                EventKind::Told { answer: Answer::Right, .. } => see("answered"),
                EventKind::Told { answer: Answer::Panicked, .. } => see("panicked"),
                EventKind::Told { answer: Answer::Offline, .. } => see("offline"),
                EventKind::End { came: Came::Dropped, .. } => see("dropped"),
                EventKind::End { came: Came::Forgotten, .. } => see("forgotten"),
                EventKind::End { came: Came::NoSlot, op } => {
                    let take = |one: &Event| matches!(one.kind, EventKind::Begin { op: other, act: Act::Take { .. } } if other == op);
                    if history.iter().any(take) {
                        see("refused a slot");
                    }
                }
                EventKind::Woken { .. } if event.thread < scenario.cpus => see("woken"),
                EventKind::Polled { .. } if event.thread >= scenario.cpus => see("polled by no CPU"),
                EventKind::Gone { part: Part::Result(target), .. } => see(match event.level {
                    Level::Thread => "result dropped by its caller",
                    _ if event.thread == target as usize => "result dropped on its target",
                    _ => "result posted home",
                }),
                _ => {}
            }
        }
    }
    let all = [
        "answered",
        "panicked",
        "offline",
        "dropped",
        "forgotten",
        "refused a slot",
        "woken",
        "polled by no CPU",
    ];
    let dropped = ["result dropped by its caller", "result dropped on its target", "result posted home"];
    assert!(all.iter().chain(&dropped).all(|what| seen.contains_key(what)), "{seen:?}");
}

#[test]
fn a_run_too_many_or_on_another_cpu_breaks_p1() {
    let is_run = |event: &Event| matches!(event.kind, EventKind::RunBegin { of: Of::Awaited(..), .. });
    broken("P1", 50, |history| {
        let Some(at) = history.iter().position(is_run) else { return false };
        history.insert(at, history[at].clone());
        true
    });
    broken("P1", 50, |history| {
        change(history, |event| match &mut event.kind {
            EventKind::RunBegin { of: Of::Awaited(_, target), .. } => {
                *target = u32::MAX;
                true
            }
            _ => false,
        })
    });
}

#[test]
fn an_answer_that_is_wrong_breaks_p1() {
    broken("P1", 50, |history| {
        change(history, |event| match &mut event.kind {
            EventKind::Told { answer, .. } => {
                *answer = if *answer == Answer::Right { Answer::Offline } else { Answer::Right };
                true
            }
            _ => false,
        })
    });
}

#[test]
fn what_is_dropped_twice_never_or_elsewhere_breaks_p11() {
    for part in [Part::Function, Part::Waker(0)] {
        let is_drop =
            |event: &Event| matches!(event.kind, EventKind::Gone { part: gone, .. } if gone == part);
        broken("P11", 50, |history| {
            let Some(at) = history.iter().position(is_drop) else { return false };
            history.insert(at, history[at].clone());
            true
        });
        broken("P11", 50, |history| {
            let at = history.iter().position(is_drop);
            at.map(|at| history.remove(at)).is_some()
        });
    }
    broken("P11", 50, |history| {
        change(history, |event| match event.kind {
            EventKind::Gone { part: Part::Result(_), .. } => {
                // By a thread that is neither home nor target.
                (event.thread, event.level) = (usize::MAX, Level::Call);
                true
            }
            _ => false,
        })
    });
}

#[test]
fn a_waker_that_is_used_too_often_or_never_breaks_p14() {
    let is_wake = |event: &Event| matches!(event.kind, EventKind::Woken { .. });
    broken("P14", 50, |history| {
        let Some(at) = history.iter().position(is_wake) else { return false };
        (0..100).for_each(|_| history.insert(at, history[at].clone()));
        true
    });
    // Of futures that were forgotten.
    broken("P14", 10, |history| {
        let before = history.len();
        history.retain(|event| !is_wake(event));
        history.len() < before
    });
}

#[test]
fn a_slot_that_is_refused_when_it_is_free_breaks_p11() {
    broken("P11", 5, |history| {
        let refused: Vec<usize> = (history.iter())
            .filter_map(|event| match event.kind {
                EventKind::End { op, came: Came::NoSlot } => Some(op),
                _ => None,
            })
            .collect();
        // As if whoever had it had not asked for it.
        let is_take = |event: &Event| matches!(event.kind, EventKind::Begin { op, act: Act::Take { .. } } if !refused.contains(&op));
        let mut is_doctored = false;
        for event in history.iter_mut().filter(|event| is_take(event)) {
            if let EventKind::Begin { act: Act::Take { slot }, .. } = &mut event.kind {
                *slot += 100;
                is_doctored = true;
            }
        }
        is_doctored
    });
}
