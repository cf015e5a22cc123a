//! What makes figures worse than they could be, or less sure, in words: of what the system says, and of what was measured.

use crate::data::{Core, Environment, Report};

/// From so many times the nearest pair's on, a pair of cores is far.
const FAR: f64 = 2.5;
/// From so much time that the hypervisor gave to others on, in percent, cores are shared.
const STEAL_PERCENT: f64 = 0.5;
/// The kernel's own work takes a thread off its core a few times a second.
const PREEMPTED_PER_S: f64 = 20.0;
/// A machine on which nothing else runs has less.
const LOAD: f64 = 0.5;
/// A row whose rounds differ by more than this part of their median is said to be unsteady.
const UNSTEADY: f64 = 0.5;

/// Says it all, the gravest first; none if there is nothing to warn of.
pub fn warnings(report: &Report) -> Vec<String> {
    let mut warnings = Vec::new();
    checks(report, &mut warnings);
    cores(report, &mut warnings);
    others_at_work(report, &mut warnings);
    system(report, &mut warnings);
    unsteady(report, &mut warnings);
    warnings
}

/// Whether something else was at work on the same cores.
pub(crate) fn is_disturbed(environment: &Environment) -> bool {
    environment.steal_percent >= STEAL_PERCENT
        || environment.preempted_per_s >= PREEMPTED_PER_S
        || environment.load_before >= LOAD
        || environment.throttled > 0
}

fn checks(report: &Report, warnings: &mut Vec<String>) {
    if report.checks.failed > 0 {
        warnings.push(format!("{} results were not as the contract says.", report.checks.failed));
    }
    if report.litmus.smpcall.lost > 0 {
        warnings.push(format!(
            "P2 is broken: {} posts were told Busy, and the run that was still to come did not see them.",
            report.litmus.smpcall.lost
        ));
    }
}

fn cores(report: &Report, warnings: &mut Vec<String>) {
    let core = |number: usize| report.cores.iter().find(|core| core.number == number);
    match report.environment.timed_between {
        None => warnings.push("The system does not say which cores this process may use: no thread was pinned.".to_owned()),
        Some((from, to)) if from == to => warnings.push(format!(
            "This process may use one core only, {from}: no cache line moves, and every call to another CPU is a change of threads."
        )),
        Some((from, to)) => {
            if let (Some(from), Some(to)) = (core(from), core(to)) {
                siblings(from, to, warnings);
            }
        }
    }
    let nearest = report.pairs.iter().map(|pair| pair.line_ns).fold(f64::INFINITY, f64::min);
    let far = report.pairs.iter().filter(|pair| pair.line_ns >= FAR * nearest);
    if let Some(farthest) = far.clone().max_by(|one, other| one.line_ns.total_cmp(&other.line_ns)) {
        warnings.push(format!(
            "Some cores are far from each other: {} of {} pairs take {FAR} times the nearest pair's {nearest:.0} ns or more for a cache line \
             there and back; from core {} to core {} it takes {:.0} ns.",
            far.count(),
            report.pairs.len(),
            farthest.from,
            farthest.to,
            farthest.line_ns
        ));
    }
    let (line, fetch_or) = (floor(report, "cache_line_rtt_ns"), floor(report, "fetch_or_ns"));
    // One pair has nothing to be compared with but an instruction.
    if report.pairs.len() <= 2
        && line >= 50.0 * fetch_or
        && report.environment.timed_between.is_some_and(|(from, to)| from != to)
    {
        warnings.push(format!(
            "The two cores are far from each other: a cache line takes {line:.0} ns there and back, as long as {:.0} fetch_or.",
            line / fetch_or
        ));
    }
}

fn siblings(from: &Core, to: &Core, warnings: &mut Vec<String>) {
    if from.core.is_some() && from.core == to.core {
        warnings.push(format!(
            "Cores {} and {} are two threads of one core (SMT siblings): a line between them never leaves its first-level cache, and each \
             takes time from the other while it polls.",
            from.number, to.number
        ));
    }
}

fn floor(report: &Report, name: &str) -> f64 {
    let rounds = report.floor(name).map(|floor| floor.rounds.as_slice()).unwrap_or_default();
    crate::compare::Spread::of(rounds).map_or(f64::NAN, |spread| spread.median)
}

fn others_at_work(report: &Report, warnings: &mut Vec<String>) {
    let environment = &report.environment;
    if environment.steal_percent >= STEAL_PERCENT {
        warnings.push(format!(
            "The cores are shared with other virtual machines: the hypervisor gave {:.1} % of their time to others (steal time). Medians are \
             longer than on a machine by itself, p99 by far.",
            environment.steal_percent
        ));
    }
    if environment.preempted_per_s >= PREEMPTED_PER_S {
        warnings.push(format!(
            "Other programs ran on the same cores: the measuring threads were taken off them {:.0} times a second (involuntary switches).",
            environment.preempted_per_s
        ));
    }
    if environment.load_before >= LOAD {
        warnings.push(format!(
            "Other programs were at work: the load of the minute before was {:.2}.",
            environment.load_before
        ));
    }
    if environment.throttled > 0 {
        warnings.push(format!(
            "The process' cgroup used up its time and was throttled {} times: whoever waited then waited for the next period.",
            environment.throttled
        ));
    }
    if let Some(millis) = environment.quota_millis {
        warnings.push(format!(
            "The process' cgroup grants all its threads together {:.1} cores' time: two that spin use that up.",
            millis as f64 / 1_000.0
        ));
    }
}

fn system(report: &Report, warnings: &mut Vec<String>) {
    let environment = &report.environment;
    if let Some(whose) = &environment.hypervisor {
        warnings.push(format!(
            "This is a virtual machine ({whose}): which cores are near, and whether one runs at all, is the hypervisor's to say, and may change \
             while it is measured; a doorbell to a sleeping core leaves the machine."
        ));
    }
    if environment.governors.is_empty() {
        warnings.push(
            "There is no file that says who sets the cores' frequency (no governor): it may have changed while this was measured.".to_owned(),
        );
    } else if environment.governors.iter().any(|governor| governor != "performance") {
        warnings.push(format!(
            "The frequency is set by the governor {}: a core that has slept runs slower at first. The governor performance keeps it.",
            environment.governors.join(", ")
        ));
    }
    if !matches!(environment.clock.as_str(), "tsc" | "arch_sys_counter" | "riscv_clocksource" | "") {
        warnings.push(format!(
            "The kernel's clock is {}, which takes longer to read than the processor's own.",
            environment.clock
        ));
    }
}

fn unsteady(report: &Report, warnings: &mut Vec<String>) {
    let wide = |rounds: &[f64]| {
        crate::compare::Spread::of(rounds)
            .is_some_and(|spread| spread.most - spread.least > UNSTEADY * spread.median)
    };
    let rows: Vec<_> = report.rows.iter().filter(|row| wide(&row.rounds)).collect();
    if !rows.is_empty() {
        let mut names: Vec<_> =
            rows.iter().take(3).map(|row| format!("{} ({})", row.call, row.target)).collect();
        if rows.len() > names.len() {
            names.push(format!("{} more", rows.len() - names.len()));
        }
        warnings.push(format!(
            "{} of {} rows differ by more than half of their median from round to round: {}.",
            rows.len(),
            report.rows.len(),
            names.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::report;
    use crate::data::{Pair, Row};

    /// Whether the change brings just one warning, with these words.
    #[track_caller]
    fn warns(change: impl FnOnce(&mut Report), words: &str) {
        let mut report = report();
        assert_eq!(warnings(&report), [] as [&str; 0], "nothing is wrong with it");
        change(&mut report);
        let said = warnings(&report);
        assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
    }

    #[test]
    fn what_is_wrong_with_the_cores() {
        warns(|report| report.environment.timed_between = None, "no thread was pinned");
        warns(|report| report.environment.timed_between = Some((1, 1)), "one core only, 1");
        warns(|report| report.cores[1].core = Some(0), "Cores 0 and 1 are two threads of one core");
        warns(|report| report.floors[0].rounds = vec![300.0; 3], "as long as 60 fetch_or");
        let far = |report: &mut Report| {
            let near = report.pairs[0].clone();
            report.pairs.extend([
                Pair { to: 2, line_ns: 200.0, ..near.clone() },
                Pair { to: 3, line_ns: 140.0, ..near },
            ]);
        };
        warns(far, "1 of 4 pairs take 2.5 times the nearest pair's 60 ns");
    }

    #[test]
    fn who_else_is_at_work() {
        warns(|report| report.environment.steal_percent = 3.0, "3.0 % of their time");
        warns(|report| report.environment.preempted_per_s = 200.0, "200 times a second");
        warns(|report| report.environment.load_before = 1.5, "1.50");
        warns(|report| report.environment.throttled = 2, "throttled 2 times");
        warns(|report| report.environment.quota_millis = Some(1_500), "1.5 cores' time");
    }

    #[test]
    fn what_the_system_is() {
        warns(|report| report.environment.hypervisor = Some("KVM".to_owned()), "virtual machine (KVM)");
        warns(|report| report.environment.governors.clear(), "no governor");
        warns(|report| report.environment.governors = vec!["powersave".to_owned()], "governor powersave");
        warns(|report| report.environment.clock = "hpet".to_owned(), "clock is hpet");
    }

    #[test]
    fn what_came_out() {
        warns(|report| report.checks.failed = 1, "1 results");
        warns(|report| report.litmus.smpcall.lost = 2, "P2 is broken: 2 posts");
        let unsteady = |report: &mut Report| {
            let row = Row { rounds: vec![100.0, 100.0, 151.0], ..report.rows[0].clone() };
            report.rows = vec![row; 5];
        };
        warns(unsteady, "(polling), waiting call (polling), 2 more.");
    }
}
