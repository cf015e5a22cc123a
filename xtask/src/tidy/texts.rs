//! The page that explains what is printed: the texts in the first column of its tables are in the sources, so that whoever looks for
//! what stands on their screen finds it. `…` is what differs; where it stands for a part of a number, so does `0x…`.

use super::Breach;
use super::scan::Source;

const PAGE: &str = "docs/troubleshooting.md";
/// Tables of what is printed have this head; others are of what is seen.
const HEAD: &str = "| what is printed |";
/// Shorter pieces are anywhere.
const PIECE_MIN: usize = 4;

/// Texts of the page that no source has.
pub(super) fn check(path: &str, text: &str, sources: &[Source]) -> Vec<Breach> {
    if path != PAGE {
        return Vec::new();
    }
    let library = |source: &&Source| source.path.starts_with("crates/") && source.path.contains("/src/");
    let sources: Vec<&str> = sources.iter().filter(library).map(|source| source.text.as_str()).collect();
    let (mut breaches, mut texts, mut inside) = (Vec::new(), 0, false);
    for (number, line) in (1..).zip(text.lines()) {
        inside = line.starts_with(HEAD) || (inside && line.starts_with('|'));
        let first = line.split('|').nth(1).unwrap_or_default();
        for printed in first.split('`').skip(1).step_by(2).filter(|_| inside) {
            texts += 1;
            let pieces = printed.split('…').map(|piece| piece.trim().trim_end_matches("0x"));
            let gone = pieces.filter(|piece| {
                piece.len() >= PIECE_MIN && !sources.iter().any(|text| text.contains(piece.trim()))
            });
            breaches
                .extend(gone.map(|piece| Breach::new(path, number, format!("no source prints `{piece}`"))));
        }
    }
    if texts == 0 {
        breaches.push(Breach::new(path, 1, format!("has no table that begins with `{HEAD}`")));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_must_be_in_a_source() {
        let source = Source::parse(
            "crates/a/src/b.rs",
            "fn f() { write!(f, \"CPU {cpu} has waited {ms} ms for {at:#x}: stuck\") }".into(),
        );
        let sources = [source.unwrap()];
        let of = |text: &str| {
            check(PAGE, text, &sources)
                .into_iter()
                .map(|breach| (breach.line, breach.what))
                .collect::<Vec<_>>()
        };
        let table = "| what is printed | is |\n|---|---|\n| `CPU … has waited … ms for 0x…: stuck` | x |\n";
        assert_eq!(of(table), []);
        let other = format!(
            "{table}| `has slept`, or `has waited` | `gone for good` |\n\n| what you see |\n| `nothing` |\n"
        );
        assert_eq!(of(&other), [(4, "no source prints `has slept`".to_owned())]);
        assert_eq!(of("text").len(), 1, "a page without a table");
        assert_eq!(check("docs/other.md", "text", &sources), []);
    }
}
