//! What it costs between each two cores: a table for each measure, its cells coloured by how much more than the least they hold.

use super::scale::ns;
use crate::data::{Pair, Report};
use maud::{Markup, html};
use std::collections::BTreeSet;

/// How many colours there are: the classes `h0`, `h1`, … of the style sheet.
const COLOURS: usize = 7;

/// Of so many cores two tables have room beside each other.
const BESIDE_MAX: usize = 8;

/// A measure of a pair.
struct Measure {
    id: &'static str,
    title: &'static str,
    what: &'static str,
    of: fn(&Pair) -> f64,
}

const MEASURES: [Measure; 4] = [
    Measure {
        id: "heat-line",
        title: "A cache line",
        what: "written there, seen, written back, and seen",
        of: |pair| pair.line_ns,
    },
    Measure {
        id: "heat-call",
        title: "A waiting call",
        what: "to a CPU that polls, until it returns",
        of: |pair| pair.call_ns,
    },
    Measure {
        id: "heat-futex",
        title: "Through the kernel",
        what: "a futex there and back, both sides asleep",
        of: |pair| pair.futex_ns,
    },
    Measure {
        id: "heat-doorbell",
        title: "A doorbell",
        what: "a waiting call to a CPU that sleeps, until it returns",
        of: |pair| pair.doorbell_ns,
    },
];

pub(super) fn section(report: &Report) -> Markup {
    let numbers: BTreeSet<usize> = report.pairs.iter().flat_map(|pair| [pair.from, pair.to]).collect();
    html! {
        section aria-labelledby="cores" {
            h2 #cores { "Between cores" }
            @if numbers.len() < 2 {
                p { "There is one core, and no pair of them." }
            } @else {
                p {
                    "Medians; the caller's core to the left, the target's on top. The darker, the longer: from the least of a table to the most."
                    @if numbers.len() < report.cores.len() {
                        " Of " (report.cores.len()) " cores " (numbers.len()) " were taken, spread evenly."
                    }
                }
                div.heats.many[numbers.len() > BESIDE_MAX] { @for measure in &MEASURES { (table(measure, &report.pairs, &numbers)) } }
            }
        }
    }
}

fn table(measure: &Measure, pairs: &[Pair], numbers: &BTreeSet<usize>) -> Markup {
    let values = || pairs.iter().map(measure.of);
    let colours = Colours::of(values());
    let (unit, divisor) = unit(values().fold(0.0, f64::max));
    let pair = |from: usize, to: usize| pairs.iter().find(|pair| (pair.from, pair.to) == (from, to));
    html! {
        section.heat aria-labelledby=(measure.id) {
            h3 id=(measure.id) { (measure.title) ", " (unit) }
            p.note { (measure.what) }
            div.wide tabindex="0" role="region" aria-labelledby=(measure.id) {
                table class="plot-heat" {
                    thead {
                        tr {
                            td { span.hidden { "from core, to core" } }
                            @for to in numbers { th scope="col" { (to) } }
                        }
                    }
                    tbody {
                        @for from in numbers {
                            tr {
                                th scope="row" { (from) }
                                @for to in numbers {
                                    @match pair(*from, *to) {
                                        Some(pair) => td class=(colours.class((measure.of)(pair))) {
                                            (shown((measure.of)(pair) / divisor))
                                        }
                                        None => td.none { "–" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            p.note { "From " (ns(values().fold(f64::INFINITY, f64::min))) " to " (ns(values().fold(0.0, f64::max))) "." }
        }
    }
}

/// In what a table's numbers are.
fn unit(most: f64) -> (&'static str, f64) {
    if most < 10_000.0 { ("ns", 1.0) } else { ("µs", 1_000.0) }
}

fn shown(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Which colour a value has.
struct Colours {
    least: f64,
    log: f64,
}

impl Colours {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) =
            values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
        // What differs by less than a quarter is not to look as if it mattered.
        Self { least, log: (most / least).max(1.25).ln() }
    }

    fn class(&self, value: f64) -> String {
        let part = (value / self.least).ln() / self.log;
        format!("h{}", ((part * COLOURS as f64) as usize).min(COLOURS - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_light_and_the_most_dark_unless_they_are_all_but_the_same() {
        let colours = Colours::of([50.0, 100.0, 400.0].into_iter());
        assert_eq!([50.0, 141.5, 400.0].map(|value| colours.class(value)), ["h0", "h3", "h6"]);
        let even = Colours::of([100.0, 104.0].into_iter());
        assert_eq!([100.0, 104.0].map(|value| even.class(value)), ["h0", "h1"]);
        assert_eq!((unit(9_000.0).0, unit(90_000.0).0), ("ns", "µs"));
    }
}
