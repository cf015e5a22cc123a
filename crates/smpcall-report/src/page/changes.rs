//! What changed since an earlier report, each figure with its spread then and now.

use super::scale::{date, ns, ratio};
use crate::compare::{Change, Comparison, Spread, Verdict};
use maud::{Markup, html};

pub(super) fn section(since: &Comparison) -> Markup {
    let of = |verdict: Verdict| since.changes.iter().filter(move |change| change.verdict == verdict);
    let named: Vec<&Change> = since.changes.iter().filter(|change| is_change(change.verdict)).collect();
    html! {
        section aria-labelledby="since" {
            h2 #since { "Since the earlier report" }
            p {
                "That was made on " time { (date(since.made_at)) } ". A figure counts as changed only if no round of then meets those of now; "
                (of(Verdict::WithinNoise).count()) " of " (since.changes.len()) " figures are within the noise. "
                "With so many rounds at least one figure in " (super::scale::count((1.0 / since.by_chance) as u64)) " is named by chance alone."
            }
            @if !since.notes.is_empty() { ul { @for note in &since.notes { li { (note) } } } }
            @if named.is_empty() {
                p { b { "Nothing changed." } }
            } @else {
                (table(&named, "What changed"))
            }
            @if !since.gone.is_empty() { p { "In the earlier report only: " (since.gone.join("; ")) "." } }
            details {
                summary { "All figures, then and now" }
                (table(&since.changes.iter().collect::<Vec<_>>(), "All figures, then and now"))
            }
        }
    }
}

fn is_change(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Faster | Verdict::Slower | Verdict::WithItsFloor)
}

fn table(changes: &[&Change], label: &str) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label=(label) {
            table {
                thead {
                    tr {
                        th scope="col" { "figure" }
                        th scope="col" { "so it is" }
                        th.n scope="col" { "now ÷ then" }
                        th.n scope="col" { "now" }
                        th.n scope="col" { "then" }
                    }
                }
                tbody { @for change in changes { (row(change)) } }
            }
        }
    }
}

fn row(change: &Change) -> Markup {
    let (class, verdict) = match change.verdict {
        Verdict::Faster => ("faster", "faster"),
        Verdict::Slower => ("slower", "slower"),
        Verdict::WithItsFloor => ("", "moved with its floor"),
        Verdict::WithinNoise => ("", "within the noise"),
        Verdict::New => ("", "new"),
    };
    html! {
        tr {
            th scope="row" { (change.name) }
            td class=(class) { (verdict) }
            td.n { (change.before.map(|before| ratio(change.now.median / before.median)).unwrap_or_default()) }
            td.n { (shown(&change.now)) }
            td.n { (change.before.map(|spread| shown(&spread)).unwrap_or_default()) }
        }
    }
}

fn shown(spread: &Spread) -> String {
    format!("{} ({} to {})", ns(spread.median), ns(spread.least), ns(spread.most))
}
