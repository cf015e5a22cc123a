//! A run for people to read: one line for each thing that happened, and the same for a trace viewer.

use crate::history::{Event, EventKind, History, Level, Of};
use crate::scenario::Scenario;
use serde_json::{Value, json};
use std::fmt::Write;

/// One line for each event: step, virtual CPU, context, what. Sleeps and empty looks are left out.
pub fn timeline(scenario: &Scenario, history: &History) -> String {
    let mut text = String::new();
    let mut looks: Option<&Event> = None;
    for event in history {
        match event.kind {
            EventKind::Looks => looks = Some(event),
            EventKind::Flushed if looks.is_some_and(|look| look.thread == event.thread) => looks = None,
            EventKind::Sleeps => {}
            _ => {
                if let Some(look) = looks.take() {
                    line(&mut text, scenario, look);
                }
                line(&mut text, scenario, event);
            }
        }
    }
    text
}

fn line(text: &mut String, scenario: &Scenario, event: &Event) {
    let level = match event.level {
        Level::Thread => "",
        Level::Irq => "irq",
        Level::Call => "call",
        Level::Nmi => "NMI",
    };
    // Writing to a string does not fail.
    let _ =
        writeln!(text, "{:>8}  {:<9} {level:<4}  {}", event.step, name(scenario, event.thread), event.kind);
}

fn name(scenario: &Scenario, thread: usize) -> String {
    match thread {
        cpu if cpu < scenario.cpus => format!("CPU {cpu}"),
        caller if caller < scenario.threads() => format!("thread {caller}"),
        _ => "recovery".to_owned(),
    }
}

/// The process of a trace. A viewer takes a thread of that number, or of number 0, for the process's first: no track has either.
const PID: u64 = 1 << 30;

/// The run as Chrome's trace event format, which Perfetto opens too: a row for each virtual CPU, a microsecond for a step.
pub fn chrome_trace(scenario: &Scenario, history: &History) -> Value {
    let tid = |thread: usize| thread + 1;
    let mut events: Vec<Value> = (0..=scenario.threads())
        .map(|thread| {
            json!({"ph": "M", "pid": PID, "tid": tid(thread), "name": "thread_name", "args": {"name": name(scenario, thread)}})
        })
        .collect();
    let (mut step, mut ns) = (0, 0);
    for event in history {
        // Steps pass in leaps when nobody does anything; the events of one step are a nanosecond apart, or a viewer, which
        // counts in those, has them all at one time.
        ns = if event.step == step { ns + 1 } else { event.step.saturating_mul(1000).max(ns + 1) };
        step = event.step;
        let (phase, title) = phase(&event.kind);
        let args = json!({"step": event.step, "context": format!("{:?}", event.level), "what": event.kind.to_string()});
        let ts = ns as f64 / 1000.0;
        let mut one =
            json!({"ph": phase, "pid": PID, "tid": tid(event.thread), "ts": ts, "name": title, "args": args});
        if phase == "i" {
            one["s"] = json!("t");
        }
        events.push(one);
    }
    json!({"displayTimeUnit": "ms", "traceEvents": events, "otherData": {"seed": scenario.seed.to_string()}})
}

/// Ops and runs have a length; all else is a moment.
fn phase(what: &EventKind) -> (&'static str, String) {
    match what {
        EventKind::Begin { act, .. } => ("B", act.to_string()),
        EventKind::End { .. } => ("E", String::new()),
        EventKind::RunBegin { of, .. } => ("B", of_name(of)),
        EventKind::RunEnd { .. } => ("E", String::new()),
        other => ("i", other.to_string()),
    }
}

fn of_name(of: &Of) -> String {
    format!("run {of}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Options;
    use crate::sim::play_and_tell;

    #[test]
    fn every_slice_that_is_opened_is_closed_and_every_op_is_in_the_timeline() {
        let scenario = Scenario::draw(3, &Options::default());
        let (_, history) = play_and_tell(&scenario);
        let trace = chrome_trace(&scenario, &history);
        let events = trace["traceEvents"].as_array().unwrap();
        for tid in 1..=scenario.threads() + 1 {
            let of =
                |phase: &str| events.iter().filter(|one| one["tid"] == tid && one["ph"] == phase).count();
            assert_eq!(of("B"), of("E"), "track {tid}");
            assert_eq!(of("M"), 1);
        }
        assert!(events.iter().all(|one| one["tid"] != 0 && one["tid"] != one["pid"]));
        let moments =
            events.iter().filter_map(|one| one["ts"].as_f64()).map(|ts| (ts * 1000.0).round() as u64);
        assert!(moments.collect::<Vec<_>>().windows(2).all(|pair| pair[0] < pair[1]), "no two at one time");
        let text = timeline(&scenario, &history);
        let ops = history.iter().filter(|event| matches!(event.kind, EventKind::Begin { .. })).count();
        assert!(
            ops > 5
                && text.lines().filter(|line| line.contains("  op ") && !line.contains('→')).count() == ops
        );
    }
}
