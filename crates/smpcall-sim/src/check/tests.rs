//! Each checker can fail: records of sound runs are doctored, one thing at a time, and the promise that is then broken must be
//! the one that is named. (That the core's own defects are found, the `sim-` mutants show.)

use super::first_violation;
use crate::engine::End;
use crate::history::{Act, Came, Event, EventKind, History, Level, Of, Urgency};
use crate::scenario::{FaultChoice, Options, Scenario};
use crate::sim::play_and_tell;

/// Sound runs, some with faults and some without.
fn records() -> impl Iterator<Item = (Scenario, History)> {
    (0..120).map(|seed| {
        let mut options = Options::default();
        if seed % 2 == 0 {
            options.faults =
                FaultChoice::These("interrupts=0.5,hotplug=0.1,panics=0.2".parse().expect("rates"));
        }
        let scenario = Scenario::draw(seed, &options);
        let (outcome, history) = play_and_tell(&scenario);
        assert_eq!(outcome.violation, None, "seed {seed}");
        (scenario, history)
    })
}

/// Doctors every record, where that can be done, and demands that the promise is found broken in each: or, where another
/// event can make good for the one that was changed, in `least` of them.
#[track_caller]
fn broken(promise: &str, least: usize, doctor: impl Fn(&Scenario, &mut History) -> bool) {
    let mut found = 0;
    let mut others = Vec::new();
    for (scenario, mut history) in records() {
        if doctor(&scenario, &mut history) {
            match first_violation(&scenario, &history, End::Done) {
                Some(violation) if violation.promise.starts_with(promise) => found += 1,
                other => others.push(other),
            }
        }
    }
    assert!(found >= least, "{found} of {}: {:?}", found + others.len(), others.first());
}

fn change(history: &mut History, f: impl FnMut(&mut Event) -> bool) -> bool {
    history.iter_mut().any(f)
}

fn remove(history: &mut History, f: impl FnMut(&Event) -> bool) -> bool {
    history.iter().position(f).map(|at| history.remove(at)).is_some()
}

#[test]
fn a_run_that_is_missing_breaks_p1() {
    broken("P1", 50, |_, history| {
        remove(history, |event| {
            matches!(event.kind, EventKind::RunBegin { of: Of::Call(_) | Of::Many(_), .. })
        })
    });
}

#[test]
fn a_run_too_many_breaks_p1() {
    broken("P1", 50, |scenario, history| {
        let csd = |event: &Event| match event.kind {
            EventKind::RunBegin { of: Of::Csd(csd), .. } => !scenario.csds[csd].cancels,
            _ => false,
        };
        let Some(at) = history.iter().position(csd) else { return false };
        let again = history[at].clone();
        history.insert(at, again);
        true
    });
}

#[test]
fn a_run_outside_of_call_context_breaks_p1() {
    broken("P1", 50, |_, history| {
        change(history, |event| match &mut event.kind {
            EventKind::RunBegin { in_context, .. } => std::mem::replace(in_context, false),
            _ => false,
        })
    });
}

#[test]
fn a_run_that_sees_nothing_breaks_p2() {
    broken("P2", 40, |_, history| {
        let mut blinded = false;
        for event in history {
            if let EventKind::RunBegin { seen, .. } | EventKind::Paid { seen, .. } = &mut event.kind {
                blinded |= !seen.is_empty();
                seen.iter_mut().for_each(|(_, value)| *value = 0);
            }
        }
        blinded
    });
}

#[test]
fn a_busy_that_names_another_cpu_breaks_p3() {
    broken("P3", 15, |scenario, history| {
        let nobodys = scenario.cpus as u32;
        change(history, |event| match &mut event.kind {
            EventKind::End { came: Came::Busy(cpu), .. } => {
                *cpu = nobodys;
                true
            }
            _ => false,
        })
    });
}

#[test]
fn an_answer_that_is_wrong_or_not_visible_breaks_p4() {
    for wrong in
        [Came::Answered { right: false, visible: true }, Came::Answered { right: true, visible: false }]
    {
        broken("P4", 40, |_, history| {
            change(history, |event| match &mut event.kind {
                EventKind::End { came: came @ Came::Answered { .. }, .. } => {
                    *came = wrong;
                    true
                }
                _ => false,
            })
        });
    }
}

#[test]
fn a_relay_that_is_busy_in_its_own_function_breaks_p5() {
    broken("P5", 1, |scenario, history| {
        let hops = |event: &Event| match event.kind {
            EventKind::Begin { op, act: Act::Post { csd, .. } } => {
                (event.level == Level::Call && !scenario.csds[csd].hops.is_empty()).then_some(op)
            }
            _ => None,
        };
        let Some(op) = history.iter().find_map(hops) else { return false };
        // As if it had been told Cancelled: then it is no one's promise either.
        change(history, |event| match &mut event.kind {
            EventKind::End { op: ended, came }
                if *ended == op && *came == (Came::Offline { coalesced: false }) =>
            {
                *came = Came::Cancelled(0);
                true
            }
            _ => false,
        })
    });
}

/// Where two calls that one sender made, in that order, begin to run on one CPU. `run` tells whose run begins, `meant` which calls.
fn two_runs_of_one_sender(
    history: &History,
    run: fn(&EventKind) -> Option<usize>,
    meant: fn(&Act) -> bool,
) -> Option<(usize, usize)> {
    let sender = |op: usize| {
        history.iter().find_map(|event| match &event.kind {
            EventKind::Begin { op: number, act } if *number == op && meant(act) => {
                Some((event.thread, event.level))
            }
            _ => None,
        })
    };
    let begins = |(at, event): (usize, &Event)| Some((at, run(&event.kind)?, event.thread));
    let runs: Vec<(usize, usize, usize)> = history.iter().enumerate().filter_map(begins).collect();
    runs.iter().enumerate().find_map(|(nth, (at, op, cpu))| {
        let caller = sender(*op)?;
        let same = |(_, other, on): &&(usize, usize, usize)| on == cpu && sender(*other) == Some(caller);
        runs[nth + 1..].iter().find(same).map(|(later, ..)| (*at, *later))
    })
}

#[test]
fn multicasts_of_one_sender_the_other_way_round_break_p6() {
    broken("P6", 1, |_, history| {
        let run = |what: &EventKind| match what {
            EventKind::RunBegin { of: Of::Many(op), queued: true, .. } => Some(*op),
            _ => None,
        };
        let pair = two_runs_of_one_sender(history, run, |act| matches!(act, Act::Many { waits: false, .. }));
        let Some((first, second)) = pair else { return false };
        let (a, b) = (history[first].kind.clone(), history[second].kind.clone());
        history[first].kind = b;
        history[second].kind = a;
        true
    });
}

#[test]
fn a_doorbell_to_a_cpu_that_polls_or_is_in_its_flush_breaks_p7() {
    broken("P7", 30, |_, history| {
        // A post to a CPU whose function is under way, which rings.
        let Some(at) =
            history.iter().position(|event| matches!(event.kind, EventKind::RunBegin { queued: true, .. }))
        else {
            return false;
        };
        let (to, other) = (history[at].thread, Event { level: Level::Thread, ..history[at].clone() });
        let ops = history.iter().filter(|event| matches!(event.kind, EventKind::Begin { .. })).count();
        let before =
            history[..at].iter().filter(|event| matches!(event.kind, EventKind::Begin { .. })).count();
        // The op is put in its place, and those after it are one further.
        for event in history.iter_mut() {
            if let EventKind::Begin { op, .. } | EventKind::End { op, .. } = &mut event.kind
                && *op >= before
            {
                *op += 1;
            }
            if let EventKind::RunBegin { of, .. } | EventKind::RunEnd { of, .. } = &mut event.kind
                && let Of::Call(op) | Of::Blocking(op) | Of::Many(op) | Of::Counted(op) | Of::Detached(op) =
                    of
                && *op >= before
            {
                *op += 1;
            }
            if let EventKind::Freed { op } = &mut event.kind
                && *op >= before
            {
                *op += 1;
            }
        }
        assert!(before <= ops);
        let thread = usize::from(to == 0);
        let act = Act::Many { targets: Vec::new(), waits: false, idle: false };
        let came = Came::NoSlot;
        let ring = EventKind::Ring { to: to as u32, fate: crate::history::Fate::Arrives, guarded: true };
        let new = [EventKind::Begin { op: before, act }, ring, EventKind::End { op: before, came }];
        for (shift, what) in new.into_iter().enumerate() {
            history.insert(at + 1 + shift, Event { thread, kind: what, ..other.clone() });
        }
        true
    });
}

#[test]
fn a_run_after_everything_was_at_rest_breaks_p7() {
    broken("P7", 20, |scenario, history| {
        if scenario.faults.lost > 0.0 {
            return false;
        }
        let last = history
            .iter()
            .rposition(|event| matches!(event.kind, EventKind::RunBegin { of: Of::Csd(_), .. }));
        let settled = history.iter().position(|event| event.kind == EventKind::Settled);
        let (Some(last), Some(settled)) = (last, settled) else { return false };
        let event = history.remove(last);
        // On a CPU that is still online.
        history.insert(settled, event);
        true
    });
}

#[test]
fn a_run_on_a_cpu_that_is_offline_breaks_p8() {
    broken("P8", 20, |_, history| {
        let run =
            history.iter().position(|event| matches!(event.kind, EventKind::RunBegin { of: Of::Csd(_), .. }));
        let Some(run) = run else { return false };
        let (cpu, event) = (history[run].thread, history[run].clone());
        let gone = |event: &Event| {
            event.thread == cpu && matches!(event.kind, EventKind::End { came: Came::WentOffline(_), .. })
        };
        let Some(offline) = history.iter().rposition(gone) else { return false };
        history.insert(offline + 1, event);
        history.remove(run);
        // It must not look like what P7 is about.
        history.retain(|event| event.kind != EventKind::Settled);
        true
    });
}

#[test]
fn a_run_that_does_not_end_breaks_p10() {
    for (scenario, history) in records().take(20) {
        for end in [End::Quiet, End::StepLimit, End::GivenUp] {
            let violation = first_violation(&scenario, &history, end).expect("it did not end");
            assert!(violation.promise.starts_with("P10"), "{violation}");
        }
    }
    broken("P10", 15, |_, history| {
        change(history, |event| match &mut event.kind {
            EventKind::End { came: came @ Came::WouldDeadlock, .. } => {
                *came = Came::Unexpected;
                true
            }
            _ => false,
        })
    });
}

#[test]
fn a_panic_that_is_not_caught_and_a_csd_that_is_not_freed_break_p11() {
    broken("P11", 15, |_, history| remove(history, |event| event.kind == EventKind::Caught));
    broken("P11", 25, |_, history| remove(history, |event| matches!(event.kind, EventKind::Freed { .. })));
}

#[test]
fn a_blocking_call_in_call_context_or_in_a_handler_breaks_p1() {
    let blocking = |event: &Event| matches!(event.kind, EventKind::RunBegin { of: Of::Blocking(_), .. });
    broken("P1", 25, |_, history| {
        change(history, |event| match &mut event.kind {
            EventKind::RunBegin { of: Of::Blocking(_), in_context, .. } => {
                !std::mem::replace(in_context, true)
            }
            _ => false,
        })
    });
    broken("P1", 25, |_, history| {
        change(history, |event| {
            blocking(event) && std::mem::replace(&mut event.level, Level::Irq) != Level::Irq
        })
    });
}

#[test]
fn a_blocking_call_that_returns_too_early_breaks_p4() {
    broken("P4", 20, |_, history| {
        let ends =
            |event: &Event| matches!(event.kind, EventKind::RunEnd { of: Of::Blocking(_), panics: false });
        let Some(at) = history.iter().position(ends) else { return false };
        let EventKind::RunEnd { of: Of::Blocking(op), .. } = history[at].kind else { return false };
        let returns = |event: &Event| matches!(event.kind, EventKind::End { op: ended, .. } if ended == op);
        let Some(later) = history.iter().position(returns).filter(|later| *later > at) else { return false };
        let end = history.remove(at);
        history.insert(later, end);
        true
    });
}

#[test]
fn a_detached_run_that_is_blind_breaks_p2_and_one_that_was_refused_p1() {
    broken("P2", 30, |_, history| {
        change(history, |event| match &mut event.kind {
            EventKind::RunBegin { of: Of::Detached(_), seen, .. } => {
                seen.iter_mut().for_each(|(_, value)| *value = 0);
                true
            }
            _ => false,
        })
    });
    broken("P1", 30, |_, history| {
        let runs = |event: &Event| match event.kind {
            EventKind::RunBegin { of: Of::Detached(op), .. } => Some(op),
            _ => None,
        };
        let Some(ran) = history.iter().find_map(runs) else { return false };
        change(history, |event| match &mut event.kind {
            EventKind::End { op, came } if *op == ran => std::mem::replace(came, Came::NoRoom) == Came::Ok,
            _ => false,
        })
    });
}

#[test]
fn no_room_for_a_detached_call_where_there_is_breaks_p5() {
    broken("P5", 5, |_, history| {
        let detached = |event: &Event| match event.kind {
            EventKind::Begin { op, act: Act::Detached { .. } } => Some(op),
            _ => None,
        };
        let all: Vec<usize> = history.iter().filter_map(detached).collect();
        change(history, |event| match &mut event.kind {
            EventKind::End { op, came: came @ Came::Offline { .. } } if all.contains(op) => {
                *came = Came::NoRoom;
                true
            }
            _ => false,
        })
    });
}

#[test]
fn detached_calls_of_one_sender_the_other_way_round_break_p6() {
    broken("P6", 3, |_, history| {
        let run = |what: &EventKind| match what {
            EventKind::RunBegin { of: Of::Detached(op), .. } => Some(*op),
            _ => None,
        };
        let pair = two_runs_of_one_sender(history, run, |act| matches!(act, Act::Detached { .. }));
        let Some((first, second)) = pair else { return false };
        let (a, b) = (history[first].kind.clone(), history[second].kind.clone());
        // What they see stays with their place, so that nobody is blind.
        let swapped = |from: EventKind, to: &EventKind| match (from, to) {
            (EventKind::RunBegin { of, in_context, queued, .. }, EventKind::RunBegin { seen, .. }) => {
                let seen = seen.iter().map(|(slot, _)| (*slot, u32::MAX)).collect();
                EventKind::RunBegin { of, in_context, queued, seen }
            }
            (other, _) => other,
        };
        history[first].kind = swapped(b.clone(), &a);
        history[second].kind = swapped(a, &b);
        true
    });
}

#[test]
fn a_waiting_call_behind_others_of_its_batch_breaks_p6() {
    // As if all that a CPU has run had been one batch.
    broken("P6", 5, |scenario, history| {
        let batches = history.len();
        let parts = |event: &Event| {
            matches!(event.kind, EventKind::Batch { .. } | EventKind::Looks | EventKind::Flushed)
        };
        history.retain(|event| !parts(event));
        scenario.counts && history.len() < batches
    });
}

#[test]
fn a_lazy_post_that_rings_or_a_plain_one_that_is_left_lying_breaks_p7() {
    broken("P7", 15, |_, history| {
        let posts = |event: &Event| match event.kind {
            EventKind::Begin { op, act: Act::Post { urgency: Urgency::Now, .. } } => {
                Some((event.thread, event.level, op))
            }
            _ => None,
        };
        let rings = history.windows(2).find_map(|two| {
            let (thread, level, op) = posts(&two[0])?;
            let other = matches!(two[1].kind, EventKind::Ring { to, .. } if to as usize != thread);
            (other && (two[1].thread, two[1].level) == (thread, level)).then_some(op)
        });
        let Some(rings) = rings else { return false };
        change(history, |event| match &mut event.kind {
            EventKind::Begin { op, act: Act::Post { urgency, .. } } if *op == rings => {
                std::mem::replace(urgency, Urgency::Lazy) != Urgency::Lazy
            }
            _ => false,
        })
    });
    broken("P7", 2, |_, history| {
        let mut lazy_ones = 0;
        for event in history.iter_mut() {
            if let EventKind::Begin { act: Act::Post { urgency, .. }, .. } = &mut event.kind {
                lazy_ones += u32::from(std::mem::replace(urgency, Urgency::Now) == Urgency::Lazy);
            }
        }
        lazy_ones > 0
    });
}

#[test]
fn a_post_that_waits_for_somebody_breaks_p9() {
    broken("P9", 100, |_, history| {
        let begins = history.iter().position(|event| matches!(event.kind, EventKind::Begin { op: 0, .. }));
        let Some(at) = begins else { return false };
        let waits = Event { kind: EventKind::Waits { op: 0, steps: 99 }, ..history[at].clone() };
        history.insert(at + 1, waits);
        true
    });
}

#[test]
fn a_flush_that_goes_on_after_its_budget_breaks_p9() {
    // As if all that a CPU has run had been one flush.
    broken("P9", 5, |scenario, history| {
        let flushes = history.len();
        history.retain(|event| !matches!(event.kind, EventKind::Flushed | EventKind::Looks));
        let first = history.iter().position(|event| matches!(event.kind, EventKind::RunBegin { .. }));
        let Some(at) = first else { return false };
        let looks = Event { kind: EventKind::Looks, ..history[at].clone() };
        history.insert(at, looks);
        scenario.budget < 4 && history.len() < flushes
    });
}

#[test]
fn a_count_that_is_wrong_breaks_p12() {
    use smpcall_instrumented::Counts;
    let counts: [fn(&mut Counts); 7] = [
        |row| row.queued += 1,
        |row| row.busy += 1,
        |row| row.refused += 9,
        |row| row.rings += 1,
        |row| row.saved += 1_000,
        |row| row.stalls += 1,
        |row| row.ran += 1,
    ];
    for wrong in counts {
        broken("P12", 20, |_, history| {
            change(history, |event| match &mut event.kind {
                EventKind::Counted(rows) => {
                    wrong(&mut rows[0]);
                    true
                }
                _ => false,
            })
        });
    }
}
