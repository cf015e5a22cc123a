//! Measures everything that a report holds, one after the other.

use super::pairs;
use crate::litmus::{self, Outcome};
use crate::output::progress;
use crate::pace::{Pace, Place};
use crate::run;
use anyhow::Result;
use smpcall_host::{Machine, unpin_this_thread};
use smpcall_report::compare::Spread;
use smpcall_report::data::{Build, Curve, Litmus, Point, Raced, Report, SCHEMA};
use smpcall_report::machine::System;
use smpcall_sim::scale::{Algorithm, Cost, Floors, Workload, price};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The sizes of the machines that are modelled.
const SIZES: [u32; 6] = [2, 8, 32, 128, 512, 2048];
/// Where all CPUs call all others, the time that the model takes grows with the square.
const EVERYBODY_MAX: u32 = 128;

pub(super) fn gather(each: Duration, rounds: u32, posts: u64) -> Result<Report> {
    let (system, place) = (System::this(), Place::find());
    let mut environment = system.environment(&place.cores);
    let before = system.taken(&place.cores);
    let placement = Machine::builder().owned(1).build()?;
    environment.placement = placement.placement().to_string();
    environment.quota_millis = placement.placement().quota_millis();
    environment.timed_between = place.caller().zip(place.target());
    drop(placement);
    let (pairs, preempted_per_s) = pairs::measure(&place.cores)?;
    environment.preempted_per_s = preempted_per_s;
    let run::Rounds { floors, rows, checks } = run::rounds(&place, rounds, each)?;
    let [linux, smpcall] = litmus::race_both(&place, posts)?.map(raced);
    // Measuring has kept this thread on a core. An error: nothing is known of the cores, and it is on none.
    let _ = unpin_this_thread();
    let now = system.taken(&place.cores);
    environment.steal_percent = now.steal_percent_since(&before);
    environment.throttled = now.throttled_since(&before);
    let mut report = Report {
        schema: SCHEMA.to_owned(),
        made_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        build: Build {
            smpcall: env!("CARGO_PKG_VERSION").to_owned(),
            rustc: smpcall_report::RUSTC.to_owned(),
        },
        environment,
        cores: system.cores(&place.cores),
        pairs,
        floors,
        rows,
        checks,
        growth: Vec::new(),
        litmus: Litmus { posts, linux, smpcall },
        peers: None,
    };
    report.growth = growth(&cost(&report, place.pace()));
    Ok(report)
}

fn raced(outcome: Outcome) -> Raced {
    Raced { busy: outcome.busy, lost: outcome.lost }
}

/// The model's costs, the near ones of this machine where it has two cores.
fn cost(report: &Report, pace: Pace) -> Cost {
    let floor = |name: &str| Some(Spread::of(&report.floor(name)?.rounds)?.median);
    let oneself = report.rows.iter().find(|row| row.call == "post to oneself").map(|row| row.ns.p50);
    let floors = || {
        Some(Floors {
            line_ns: floor("cache_line_rtt_ns")?,
            looked_at_ns: floor("looked_at_line_rtt_ns")?,
            fetch_or_ns: floor("fetch_or_ns")?,
            pause_ns: floor("pause_ns")?,
            oneself_ns: oneself?,
        })
    };
    match pace {
        Pace::Apart => floors().map_or_else(Cost::default, |floors| floors.calibrate()),
        Pace::Shared => Cost::default(),
    }
}

fn growth(cost: &Cost) -> Vec<Curve> {
    let sizes = |workload: Workload| {
        let most = if workload == Workload::Everybody { EVERYBODY_MAX } else { workload.cpus_max() };
        SIZES.into_iter().filter(move |cpus| *cpus <= most)
    };
    let steps: usize = Workload::ALL.into_iter().map(|workload| sizes(workload).count()).sum();
    let bar = progress(steps as u64, "growth, by the model");
    let curves = Workload::ALL.map(|workload| {
        let point = |cpus: u32| {
            bar.inc(1);
            Point {
                cpus,
                smpcall_ns: price(workload, Algorithm::Ours, cpus, cost).ns,
                linux_ns: price(workload, Algorithm::Linux, cpus, cost).ns,
            }
        };
        Curve {
            workload: workload.name().to_owned(),
            description: workload.description().to_owned(),
            points: sizes(workload).map(point).collect(),
        }
    });
    bar.finish_and_clear();
    curves.into()
}
