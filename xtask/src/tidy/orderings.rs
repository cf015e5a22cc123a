//! Every atomic access says why its ordering is what it is, in a comment such as
//! `// Release: publishes the csd's function; pairs with take_all.`; and the core takes its atomics from one place.

use super::Breach;
use super::scan::{Access, Source};

/// How far above an access its comment may stand.
const WINDOW_LINES: usize = 6;

/// The bare orderings of a file below `crates/*/src`, `examples/*/src` or `kernel/src`, and atomics that do not come through the core's shim.
pub(super) fn check(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let is_ours = ["crates/", "examples/", "kernel/"].iter().any(|root| source.path.starts_with(root));
    if !is_ours || !source.path.contains("/src/") {
        return breaches;
    }
    let lines: Vec<&str> = source.text.lines().collect();
    for access in source.accesses() {
        let comments = comments_near(&lines, &access);
        for (ordering, line) in &access.orderings {
            if !comments.iter().any(|comment| names(comment, ordering)) {
                let what = format!("`{}` has no comment `// {ordering}: why` near it", access.name);
                breaches.push(Breach::new(&source.path, *line, what));
            }
        }
    }
    if source.path.starts_with("crates/smpcall/") && !is_shim(&source.path) {
        for line in source.atomic_paths() {
            breaches.push(Breach::new(&source.path, line, "atomics come through the sync shim, crate::sync"));
        }
    }
    breaches
}

/// The core's one place that knows std's, loom's and the simulator's atomics apart.
pub(super) fn is_shim(path: &str) -> bool {
    path == "crates/smpcall/src/sync.rs" || path.starts_with("crates/smpcall/src/sync/")
}

/// The comments on the lines of an access and of the window above it.
fn comments_near<'a>(lines: &[&'a str], access: &Access) -> Vec<&'a str> {
    let first = access.line.saturating_sub(1 + WINDOW_LINES);
    let last = access.orderings.iter().map(|(_, line)| *line).max().unwrap_or(access.line);
    lines[first..last.min(lines.len())]
        .iter()
        .filter_map(|line| line.find("//").map(|at| line[at..].trim_start_matches(['/', '!'])))
        .collect()
}

/// Whether a comment names the ordering and then, after a colon in the same clause, gives a reason: `Release: …`,
/// `AcqRel on success: …`, `Release, and successful even if nothing changes: …`.
fn names(comment: &str, ordering: &str) -> bool {
    comment.match_indices(ordering).any(|(at, _)| {
        let (before, after) = (&comment[..at], &comment[at + ordering.len()..]);
        let whole_word = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let colon = after.find(':').filter(|colon| !after[..*colon].contains(['.', ';']));
        whole_word && colon.is_some_and(|colon| !after[colon + 1..].trim().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<usize> {
        let source = Source::parse(path, text.to_owned()).unwrap();
        check(&source).iter().map(|breach| breach.line).collect()
    }

    const PATH: &str = "crates/smpcall-host/src/a.rs";

    #[test]
    fn a_reason_above_or_beside_is_enough() {
        assert_eq!(breaches(PATH, "// Release: publishes x.\nfn f() { x.store(1, Release); }"), [0; 0]);
        assert_eq!(breaches(PATH, "fn f() { x.load(Relaxed); // Relaxed: a hint.\n}"), [0; 0]);
        let both = "// AcqRel on success: takes the list. Relaxed on failure: we look again.\n\
                    fn f() {\nx.compare_exchange(\n0,\n1,\nAcqRel,\nRelaxed); }";
        assert_eq!(breaches(PATH, both), [0; 0]);
    }

    #[test]
    fn a_bare_ordering_is_refused() {
        assert_eq!(breaches(PATH, "fn f() { x.store(1, Release); }"), [1]);
        assert_eq!(
            breaches(PATH, "// Releases: x.\n// Release:\n// Release it\nfn f() { x.store(1, Release); }"),
            [4]
        );
        assert_eq!(breaches(PATH, "// Acquire: y.\nfn f() { x.swap(1, Ordering::AcqRel); }"), [2]);
        let other = "// Release, always. Acquire: y.\nfn f() { x.store(1, Release); }";
        assert_eq!(breaches(PATH, other), [2], "the colon is another ordering's");
        let far = format!("// Release: publishes x.\n{}fn f() {{ x.store(1, Release); }}", "\n".repeat(6));
        assert_eq!(breaches(PATH, &far), [8]);
        let one_of_two = "// AcqRel: takes.\nfn f() { x.compare_exchange(0, 1, AcqRel, Acquire); }";
        assert_eq!(breaches(PATH, one_of_two), [2]);
    }

    #[test]
    fn only_the_cores_shim_may_name_cores_atomics() {
        let text = "use core::sync::atomic::AtomicU32;";
        assert_eq!(breaches("crates/smpcall/src/queue.rs", text), [1]);
        assert_eq!(breaches("crates/smpcall/src/sync.rs", text), [0; 0]);
        assert_eq!(breaches("crates/smpcall/src/sync/loom.rs", text), [0; 0]);
        assert_eq!(breaches(PATH, text), [0; 0]);
        assert_eq!(breaches("crates/smpcall/tests/contract.rs", text), [0; 0]);
    }
}
