//! What it was measured on.

use super::scale::ns;
use crate::compare::Spread;
use crate::data::{Core, Environment, Report};
use maud::{Markup, html};

pub(super) fn section(report: &Report) -> Markup {
    html! {
        section aria-labelledby="machine" {
            h2 #machine { "The machine" }
            (facts(&report.environment))
            h3 #topology { "What cores share" }
            (topology(&report.cores))
            h3 #floors { "Floors" }
            (floors(report))
        }
    }
}

fn facts(environment: &Environment) -> Markup {
    let or_none = |text: &str| if text.is_empty() { "not said".to_owned() } else { text.to_owned() };
    let list = |texts: &[String]| or_none(&texts.join(", "));
    let quota = environment.quota_millis.map(|millis| format!("{:.1} cores", millis as f64 / 1_000.0));
    let between = match environment.timed_between {
        None => "two threads that are not pinned".to_owned(),
        Some((from, to)) if from == to => format!("two threads that share core {from}"),
        Some((from, to)) => format!("core {from} and core {to}"),
    };
    let rows = [
        ("Processor", or_none(&environment.processor)),
        ("Microcode", or_none(&environment.microcode)),
        ("System", or_none(&environment.system)),
        ("Kernel", format!("Linux {}", or_none(&environment.kernel))),
        ("Hypervisor", environment.hypervisor.clone().unwrap_or_else(|| "none that is known of".to_owned())),
        ("Frequency governor", list(&environment.governors)),
        ("Idle states", list(&environment.idle_states)),
        ("Clock", or_none(&environment.clock)),
        ("Time granted by the cgroup", quota.unwrap_or_else(|| "all there is".to_owned())),
        ("Load before", format!("{:.2}", environment.load_before)),
        ("Given to other virtual machines", format!("{:.2} %", environment.steal_percent)),
        ("Taken off the core", format!("{:.0} times a second", environment.preempted_per_s)),
        ("Rows timed between", between),
        ("Threads", or_none(&environment.placement)),
    ];
    html! {
        dl.facts { @for (name, value) in rows { div { dt { (name) } dd { (value) } } } }
        @if !environment.mitigations.is_empty() {
            details {
                summary { "Mitigations" }
                dl.facts { @for (name, state) in &environment.mitigations { div { dt { (name) } dd { (state) } } } }
            }
        }
    }
}

fn topology(cores: &[Core]) -> Markup {
    // A group is known by its first core.
    let group = |of: Option<usize>| of.map(|first| first.to_string()).unwrap_or_default();
    html! {
        p.note { "Cores with the same number in a column share that. A number is that of the first core of them." }
        div.wide tabindex="0" role="region" aria-labelledby="topology" {
            table {
                thead {
                    tr { @for name in ["core", "physical core", "L2 cache", "L3 cache", "package", "node"] { th.n scope="col" { (name) } } }
                }
                tbody {
                    @for core in cores {
                        tr {
                            th.n scope="row" { (core.number) }
                            @for of in [core.core, core.cache2, core.cache3, core.package, core.node] { td.n { (group(of)) } }
                        }
                    }
                }
            }
        }
    }
}

fn floors(report: &Report) -> Markup {
    let what = |name: &str| match name {
        "cache_line_rtt_ns" => "a cache line there and back",
        "looked_at_line_rtt_ns" => "the same, each side letting the other look before it swaps",
        "futex_rtt_ns" => "there and back through the kernel, both sides asleep",
        "fetch_or_ns" => "one on a line that nobody else uses",
        "pause_ns" => "between two looks of a waiting caller",
        _ => "",
    };
    html! {
        div.wide tabindex="0" role="region" aria-labelledby="floors" {
            table {
                thead {
                    tr {
                        th scope="col" { "floor" }
                        th.n scope="col" { "median" }
                        th.n scope="col" { "rounds, least" }
                        th.n scope="col" { "most" }
                        th scope="col" { "what it is" }
                    }
                }
                tbody {
                    @for floor in &report.floors {
                        @if let Some(spread) = Spread::of(&floor.rounds) {
                            tr {
                                th scope="row" { (floor.name) }
                                @for value in [spread.median, spread.least, spread.most] { td.n { (ns(value)) } }
                                td { (what(&floor.name)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
