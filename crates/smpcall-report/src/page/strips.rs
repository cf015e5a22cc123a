//! How long calls take: a strip for each row, all on one logarithmic scale. Text is beside the strip, which is stretched to its place.

use super::scale::{Log, ns, ratio, tick};
use crate::compare::Spread;
use crate::data::{PeerRow, Peers, Report, Row};
use maud::{Markup, html};

/// A strip's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 24.0;

pub(super) fn calls(report: &Report) -> Markup {
    let floors = || report.floors.iter().flat_map(|floor| floor.rounds.iter().copied());
    let rows = || report.rows.iter().flat_map(|row| [row.ns.min, row.ns.p99]);
    let log = Log::over(rows().chain(floors()));
    html! {
        section aria-labelledby="calls" {
            h2 #calls { "How long calls take" }
            p {
                "The bar holds the middle half of the samples, the line 90 in a hundred, the stroke across is the median, the dot p99. "
                "The broken stroke is the row's floor: what the hardware or the kernel takes for the same journey with nothing on top. "
                "One scale for all, by powers of ten."
            }
            (axis(&log))
            @for target in targets(&report.rows) {
                h3 { (heading(target)) }
                ul.strips {
                    @for row in report.rows.iter().filter(|row| row.target == target) { (call(report, row, &log)) }
                }
            }
            (axis(&log))
            details {
                summary { "The same as a table" }
                (table(report))
            }
        }
    }
}

/// In the order in which they come.
fn targets(rows: &[Row]) -> Vec<&str> {
    let mut targets: Vec<&str> = Vec::new();
    for row in rows {
        if !targets.contains(&row.target.as_str()) {
            targets.push(&row.target);
        }
    }
    targets
}

/// What the rows of a target have in common.
fn heading(target: &str) -> String {
    match target {
        "self" => "To oneself".to_owned(),
        "calling" => "To a target that calls the caller".to_owned(),
        "shared cores" => "To CPUs that share the cores".to_owned(),
        state => format!("To a target that is {state}"),
    }
}

fn axis(log: &Log) -> Markup {
    html! {
        div.axis aria-hidden="true" {
            @for decade in log.decades() {
                span style=(format!("left:{:.2}%", 100.0 * log.at(decade))) { (tick(decade)) }
            }
        }
    }
}

/// The median over the rounds of a row's floor.
fn floor_of(report: &Report, row: &Row) -> Option<f64> {
    Some(Spread::of(&report.floor(&row.floor)?.rounds)?.median)
}

fn call(report: &Report, row: &Row, log: &Log) -> Markup {
    let floor = floor_of(report, row);
    let times = floor.map(|floor| row.ns.p50 / floor);
    let goal = row.goal.map(|goal| format!(", goal {}", ratio(goal))).unwrap_or_default();
    let of_floor = times.map(|times| format!("{} × {}{goal}", ratio(times), floor_name(&row.floor)));
    html! {
        li {
            span.name { (row.call) }
            span.value { b { (ns(row.ns.p50)) } @if let Some(of_floor) = &of_floor { " " span.note { (of_floor) } } }
            (strip(row, floor, log))
        }
    }
}

/// A floor's name in a sentence.
fn floor_name(floor: &str) -> &str {
    match floor {
        "cache_line_rtt_ns" => "line",
        "looked_at_line_rtt_ns" => "line looked at",
        "futex_rtt_ns" => "futex",
        "fetch_or_ns" => "fetch_or",
        "pause_ns" => "pause",
        other => other,
    }
}

fn at(log: &Log, value: f64) -> String {
    format!("{:.1}", WIDTH * log.at(value))
}

fn strip(row: &Row, floor: Option<f64>, log: &Log) -> Markup {
    let x = |value: f64| at(log, value);
    let width = |from: f64, to: f64| format!("{:.1}", (WIDTH * (log.at(to) - log.at(from))).max(2.0));
    let quantiles = row.ns;
    let title = format!(
        "{} to a target that is {}: median {}, half between {} and {}, p99 {}",
        row.call,
        row.target,
        ns(quantiles.p50),
        ns(quantiles.p25),
        ns(quantiles.p75),
        ns(quantiles.p99)
    );
    html! {
        svg class="plot-strip" role="img" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
            title { (title) }
            (grid(log))
            rect.range x=(x(quantiles.p5)) y="10.5" width=(width(quantiles.p5, quantiles.p95)) height="3" {}
            rect.half x=(x(quantiles.p25)) y="5" width=(width(quantiles.p25, quantiles.p75)) height="14" {}
            line.median x1=(x(quantiles.p50)) x2=(x(quantiles.p50)) y1="2" y2="22" {}
            line.p99 x1=(x(quantiles.p99)) x2=(x(quantiles.p99)) y1="12" y2="12" {}
            @if let Some(floor) = floor { line.floor x1=(x(floor)) x2=(x(floor)) y1="0" y2=(HEIGHT) {} }
        }
    }
}

fn grid(log: &Log) -> Markup {
    html! {
        @for decade in log.decades() {
            line.grid x1=(at(log, decade)) x2=(at(log, decade)) y1="0" y2=(HEIGHT) {}
        }
    }
}

fn table(report: &Report) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="How long calls take" {
            table {
                thead {
                    tr {
                        @for name in ["call", "target"] { th scope="col" { (name) } }
                        @for name in ["p5", "p25", "median", "p75", "p95", "p99", "rounds, least", "most", "floor", "× floor", "goal", "calls"] {
                            th.n scope="col" { (name) }
                        }
                    }
                }
                tbody { @for row in &report.rows { (cells(report, row)) } }
            }
        }
        p.note { "Rounds: the least and the most of the medians of the rounds." }
    }
}

fn cells(report: &Report, row: &Row) -> Markup {
    let (quantiles, floor) = (row.ns, floor_of(report, row));
    let spread = Spread::of(&row.rounds);
    let optional = |value: Option<f64>, show: fn(f64) -> String| value.map(show).unwrap_or_default();
    html! {
        tr {
            th scope="row" { (row.call) }
            td { (row.target) }
            @for value in [quantiles.p5, quantiles.p25, quantiles.p50, quantiles.p75, quantiles.p95, quantiles.p99] {
                td.n { (ns(value)) }
            }
            td.n { (optional(spread.map(|spread| spread.least), ns)) }
            td.n { (optional(spread.map(|spread| spread.most), ns)) }
            td.n { (optional(floor, ns)) }
            td.n { (optional(floor.map(|floor| quantiles.p50 / floor), ratio)) }
            td.n { (optional(row.goal, ratio)) }
            td.n { (super::scale::count(row.count)) }
        }
    }
}

/// The peers: ours, floors and the others on one strip, and who is who in a table.
pub(super) fn peers(peers: &Peers) -> Markup {
    let rows: Vec<&PeerRow> = peers.rows.iter().filter(|row| !row.beside.is_empty()).collect();
    let values = rows.iter().flat_map(|row| {
        let beside = row.beside.iter().map(|beside| beside.figures.ns);
        beside.chain([row.ours.ns])
    });
    let log = Log::over(values);
    html! {
        section aria-labelledby="peers" {
            h2 #peers { "Beside what one would use instead" }
            p {
                "By " code { "cargo xtask peers" } ", " (peers.rounds) " rounds on " (peers.machine) ". Medians: the stroke is smpcall, the "
                "broken one a floor, each ring a peer. Left is faster."
            }
            (axis(&log))
            ul.strips { @for row in &rows { (peer_row(row, &log)) } }
            details {
                summary { "The same as a table" }
                (peers_table(&rows))
            }
        }
    }
}

fn peer_row(row: &PeerRow, log: &Log) -> Markup {
    let x = |value: f64| at(log, value);
    let others = || row.beside.iter().filter(|beside| !beside.floor);
    let best = others().min_by(|one, other| one.figures.ns.total_cmp(&other.figures.ns));
    let name = format!("{}, {}: {}", row.group, row.call, row.target);
    let title = format!("{name}: smpcall {}, {} peers", ns(row.ours.ns), others().count());
    html! {
        li {
            span.name { (name) }
            span.value {
                b { (ns(row.ours.ns)) }
                @if let Some(best) = best { " " span.note { (ratio(best.ratio)) " × " (best.name) ", the fastest peer" } }
            }
            svg class="plot-strip" role="img" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" {
                title { (title) }
                (grid(log))
                @for beside in &row.beside {
                    @if beside.floor {
                        line.floor x1=(x(beside.figures.ns)) x2=(x(beside.figures.ns)) y1="0" y2=(HEIGHT) {}
                    } @else {
                        line.peer x1=(x(beside.figures.ns)) x2=(x(beside.figures.ns)) y1="12" y2="12" {
                            title { (beside.name) ", " (ns(beside.figures.ns)) }
                        }
                    }
                }
                line.median x1=(x(row.ours.ns)) x2=(x(row.ours.ns)) y1="2" y2="22" {}
            }
        }
    }
}

fn peers_table(rows: &[&PeerRow]) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Beside what one would use instead" {
            table {
                thead {
                    tr {
                        @for name in ["call", "target", "beside"] { th scope="col" { (name) } }
                        @for name in ["smpcall", "beside", "ours ÷ it", "least", "most"] { th.n scope="col" { (name) } }
                    }
                }
                tbody {
                    @for row in rows {
                        @for beside in &row.beside {
                            tr {
                                th scope="row" { (row.call) }
                                td { (row.target) }
                                td { (beside.name) }
                                td.n { (ns(row.ours.ns)) }
                                td.n { (ns(beside.figures.ns)) }
                                td.n { (ratio(beside.ratio)) }
                                td.n { (ratio(beside.ratio_least)) }
                                td.n { (ratio(beside.ratio_most)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
