//! What calls cost on growing machines, by the model: a plot for each shape of calls, and its numbers.

use super::scale::{Log, ns, ratio, tick};
use crate::data::{Curve, Point, Report};
use maud::{Markup, html};

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 230.0;
/// Where the lines are drawn.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 340.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 196.0;

pub(super) fn section(report: &Report) -> Markup {
    html! {
        section aria-labelledby="growth" {
            h2 #growth { "On machines that are not here" }
            p {
                "By the simulator's cost model, its near costs set by the floors above: the core's own code on that many CPUs, and Linux's "
                "algorithm on the same. It says how cost grows, and is no measurement. "
                span.key.ours { "smpcall" } " " span.key.linux { "Linux's algorithm" }
            }
            div.curves {
                @for curve in report.growth.iter().filter(|curve| curve.points.len() > 1) {
                    figure {
                        figcaption { b { (curve.workload) } ": " (curve.description) }
                        (plot(curve))
                        details {
                            summary { "As a table" }
                            (table(curve))
                        }
                    }
                }
            }
        }
    }
}

/// Where things are in a plot.
struct Place {
    ns: Log,
    least: f64,
    most: f64,
}

impl Place {
    fn of(points: &[Point]) -> Self {
        let cpus = || points.iter().map(|point| f64::from(point.cpus));
        Self {
            ns: Log::over(points.iter().flat_map(|point| [point.smpcall_ns, point.linux_ns])),
            least: cpus().fold(f64::INFINITY, f64::min),
            most: cpus().fold(0.0, f64::max),
        }
    }

    fn x(&self, cpus: u32) -> f64 {
        LEFT + (RIGHT - LEFT) * (f64::from(cpus) / self.least).ln()
            / (self.most / self.least).ln().max(f64::MIN_POSITIVE)
    }

    fn y(&self, ns: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * self.ns.at(ns)
    }

    fn line(&self, points: &[Point], of: fn(&Point) -> f64) -> String {
        let place = |point: &Point| format!("{:.1},{:.1}", self.x(point.cpus), self.y(of(point)));
        points.iter().map(place).collect::<Vec<_>>().join(" ")
    }
}

fn plot(curve: &Curve) -> Markup {
    let (points, place) = (&curve.points, Place::of(&curve.points));
    let [ours, linux]: [fn(&Point) -> f64; 2] = [|point| point.smpcall_ns, |point| point.linux_ns];
    let title = curve.points.last().map_or(String::new(), |last| {
        format!(
            "{}: on {} CPUs {} for smpcall, {} for Linux's algorithm",
            curve.workload,
            last.cpus,
            ns(last.smpcall_ns),
            ns(last.linux_ns)
        )
    });
    html! {
        svg class="plot-lines" role="img" viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) {
            title { (title) }
            @for decade in place.ns.decades() {
                line.grid x1=(LEFT) x2=(RIGHT) y1=(format!("{:.1}", place.y(decade))) y2=(format!("{:.1}", place.y(decade))) {}
                text text-anchor="end" x=(LEFT - 6.0) y=(format!("{:.1}", place.y(decade) + 4.0)) { (tick(decade)) }
            }
            @for point in points {
                text text-anchor="middle" x=(format!("{:.1}", place.x(point.cpus))) y=(BOTTOM + 16.0) { (point.cpus) }
            }
            text text-anchor="middle" x=((LEFT + RIGHT) / 2.0) y=(BOTTOM + 31.0) { "CPUs" }
            polyline.linux points=(place.line(points, linux)) {}
            polyline.ours points=(place.line(points, ours)) {}
            @for point in points {
                circle.linux cx=(format!("{:.1}", place.x(point.cpus))) cy=(format!("{:.1}", place.y(point.linux_ns))) r="2.5" {}
                circle.ours cx=(format!("{:.1}", place.x(point.cpus))) cy=(format!("{:.1}", place.y(point.smpcall_ns))) r="3" {}
            }
        }
    }
}

fn table(curve: &Curve) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label=(curve.workload) {
            table {
                thead {
                    tr {
                        th.n scope="col" { "CPUs" }
                        th.n scope="col" { "smpcall" }
                        th.n scope="col" { "Linux's algorithm" }
                        th.n scope="col" { "×" }
                    }
                }
                tbody {
                    @for point in &curve.points {
                        tr {
                            th.n scope="row" { (point.cpus) }
                            td.n { (ns(point.smpcall_ns)) }
                            td.n { (ns(point.linux_ns)) }
                            td.n { (ratio(point.smpcall_ns / point.linux_ns)) }
                        }
                    }
                }
            }
        }
    }
}
