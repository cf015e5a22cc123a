//! The page: one file, no script, no network, and readable at any width, in light and in dark, with and without pictures.
//!
//! | module | part |
//! |---|---|
//! | `system` | what it was measured on, and which cores share what |
//! | `heat` | what it costs between each two cores, as tables whose cells are coloured |
//! | `strips` | how long calls take, one above the other on one scale, beside floors and peers |
//! | `growth` | lines of the model |
//! | `changes` | what changed since an earlier report |
//!
//! A plot is an `svg` with a title, and its numbers stand in a table beside it; text is never inside a plot that is stretched. What is
//! wide scrolls by itself, so that the page does not. The names of classes that the browser's test counts begin with `plot`.

mod changes;
mod growth;
mod heat;
mod scale;
mod strips;
mod system;

use crate::compare::Comparison;
use crate::data::Report;
use crate::warnings::warnings;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page/style.css");
/// Nothing is loaded from anywhere, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Makes the page.
pub fn page(report: &Report, since: Option<&Comparison>) -> String {
    let title = format!("smpcall on {}", report.environment.processor);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (summary(report))
                    (warned(&warnings(report)))
                    @if let Some(since) = since { (changes::section(since)) }
                    (heat::section(report))
                    (strips::calls(report))
                    @if let Some(peers) = &report.peers { (strips::peers(peers)) }
                    (growth::section(report))
                    (litmus(report))
                    (system::section(report))
                    (how(report))
                }
            }
        }
    };
    page.into_string()
}

fn summary(report: &Report) -> Markup {
    let median = |call: &str, target: &str| {
        let row =
            report.rows.iter().find(|row| (row.call.as_str(), row.target.as_str()) == (call, target))?;
        Some(scale::ns(row.ns.p50))
    };
    let figures = [
        ("A cache line there and back", floor(report, "cache_line_rtt_ns")),
        ("A waiting call to a CPU that polls", median("waiting call", "polling")),
        ("There and back through the kernel", floor(report, "futex_rtt_ns")),
        ("A waiting call to a CPU that sleeps", median("waiting call", "parked")),
    ];
    html! {
        header {
            h1 { "What calls to another CPU cost here" }
            p.lead {
                (report.environment.processor) ", " (report.cores.len()) " cores, Linux " (report.environment.kernel) "; smpcall "
                (report.build.smpcall) ", made on " time { (scale::date(report.made_at)) } "."
            }
            dl.figures {
                @for (what, figure) in figures {
                    @if let Some(figure) = figure { div { dt { (what) } dd { (figure) } } }
                }
            }
        }
    }
}

fn floor(report: &Report, name: &str) -> Option<String> {
    let spread = crate::compare::Spread::of(&report.floor(name)?.rounds)?;
    Some(scale::ns(spread.median))
}

fn warned(warnings: &[String]) -> Markup {
    html! {
        section.warnings aria-labelledby="warnings" {
            h2 #warnings { "What to know before you trust the figures" }
            @if warnings.is_empty() {
                p { "Nothing was found that makes them worse than they could be." }
            } @else {
                ul { @for warning in warnings { li { (warning) } } }
            }
        }
    }
}

fn litmus(report: &Report) -> Markup {
    let litmus = &report.litmus;
    html! {
        section aria-labelledby="litmus" {
            h2 #litmus { "Told Busy, and seen" }
            p {
                "A csd is posted again while its target is about to run it. Whoever is told Busy relies on the run that is still to come: it "
                "must see what he has written. " (scale::count(litmus.posts)) " such posts were raced under each protocol."
            }
            div.wide tabindex="0" role="region" aria-labelledby="litmus" {
                table {
                    thead { tr { th scope="col" { "protocol" } th.n scope="col" { "told Busy" } th.n scope="col" { "of those not seen" } } }
                    tbody {
                        @for (name, raced) in [("Linux's: a plain load, a release store", litmus.linux),
                            ("smpcall's: both sides read-modify-write one word", litmus.smpcall)] {
                            tr {
                                th scope="row" { (name) }
                                td.n { (scale::count(raced.busy)) }
                                td.n { (scale::count(raced.lost)) }
                            }
                        }
                    }
                }
            }
            p.note { "None lost is what this machine and so many races showed; that none can be is what the models are for." }
        }
    }
}

fn how(report: &Report) -> Markup {
    let rounds = report.rows.iter().map(|row| row.rounds.len()).max().unwrap_or(0);
    html! {
        section aria-labelledby="how" {
            h2 #how { "How it was measured" }
            p {
                "Everything in one process, by " code { "smpcall report" } ". Rows and floors took turns, in " (rounds) " rounds; a sample is "
                "the mean of some calls back to back, and quantiles are over samples, so that p99 is not that of single calls except where a "
                "sample is one call. " (scale::count(report.checks.passed)) " results were checked ("
                (report.checks.promises.join(", ")) "), " (report.checks.failed) " of them were wrong."
            }
            p { "Built by " (report.build.rustc) "." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::compare;
    use crate::data::tests::report;
    use crate::data::{Beside, Core, Pair, PeerFigures, PeerRow, Peers};

    fn count(page: &str, of: &str) -> usize {
        page.matches(of).count()
    }

    #[test]
    fn text_is_escaped_and_nothing_is_fetched_or_run() {
        let page = page(&report(), None);
        assert!(page.contains("A &lt;processor&gt;") && !page.contains("<processor>"));
        for word in ["<script", "http://", "https://", "src=", "url(", "@import", "<link"] {
            assert!(!page.contains(word), "{word}");
        }
        assert_eq!((count(&page, "<h1"), count(&page, "<h2")), (1, 7));
        assert_eq!(count(&page, "<section"), count(&page, "</section>"));
    }

    #[test]
    fn each_plot_has_a_title_and_each_row_a_plot() {
        let page = page(&report(), None);
        assert_eq!(count(&page, "class=\"plot-heat\""), 4);
        assert_eq!(count(&page, "class=\"plot-strip\""), 1);
        assert_eq!(count(&page, "class=\"plot-lines\""), 1);
        assert_eq!(count(&page, "<svg"), count(&page, "role=\"img\""));
    }

    #[test]
    fn an_earlier_report_and_peers_have_sections_of_their_own() {
        let mut with_peers = report();
        let figures = PeerFigures { ns: 50.0 };
        let beside = |name: &str, floor| Beside {
            name: name.to_owned(),
            floor,
            figures,
            ratio: 2.0,
            ratio_least: 1.0,
            ratio_most: 3.0,
        };
        let row = PeerRow {
            group: "peers".to_owned(),
            call: "flood".to_owned(),
            target: "polling".to_owned(),
            ours: PeerFigures { ns: 100.0 },
            beside: vec![beside("line", true), beside("kanal", false)],
        };
        with_peers.peers = Some(Peers { machine: "m".to_owned(), rounds: 3, rows: vec![row] });
        let page = page(&with_peers, Some(&compare(&report(), &with_peers)));
        assert!(page.contains("Beside what one would use instead") && page.contains("kanal"));
        assert!(page.contains("Since the earlier report") && page.contains("within the noise"));
        assert_eq!(count(&page, "class=\"plot-strip\""), 2);
    }

    /// The page has to stay below 500 KB also where as many cores are shown as ever are.
    #[test]
    fn a_page_of_many_cores_is_not_large() {
        let mut many = report();
        let cores = 0..crate::data::CORES_SHOWN_MAX;
        many.cores = (0..256).map(|number| Core { number, ..Core::default() }).collect();
        let pair =
            |from, to| Pair { from, to, line_ns: 600.0, call_ns: 1_100.0, futex_ns: 90e3, doorbell_ns: 40e3 };
        let pairs = cores.clone().flat_map(|from| cores.clone().map(move |to| (from, to)));
        many.pairs = pairs.filter(|(from, to)| from != to).map(|(from, to)| pair(from, to)).collect();
        let row = many.rows[0].clone();
        many.rows = vec![row; 30];
        let page = page(&many, Some(&compare(&report(), &many)));
        assert!(page.len() < 500_000, "{}", page.len());
    }
}
