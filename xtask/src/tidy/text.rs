//! Sizes of files and functions, and words that mean that something is not done.

use super::Breach;
use super::scan::Source;

const FILE_LINES_MAX: usize = 400;
const TEST_FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Spelled in two halves, so that this file does not refuse itself.
const UNDONE: [&str; 5] = [
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

/// Files and functions that are too long to be read at one sitting.
pub(super) fn sizes(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let max = if source.is_tests() { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
    let lines = source.text.lines().count();
    if lines > max {
        breaches.push(Breach::new(&source.path, max + 1, format!("{lines} lines; a file has at most {max}")));
    }
    for function in source.functions().iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
        let what = format!(
            "`{}` has {} lines; a function has at most {FUNCTION_LINES_MAX}",
            function.name, function.lines
        );
        breaches.push(Breach::new(&source.path, function.line, what));
    }
    breaches
}

/// What somebody meant to come back to.
pub(super) fn undone(path: &str, text: &str) -> Vec<Breach> {
    if path.ends_with(".lock") || path == "clippy.toml" {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for word in UNDONE.iter().filter(|word| has_word(line, word)) {
            breaches.push(Breach::new(path, number, format!("`{word}`: something is left undone")));
        }
    }
    breaches
}

/// Whether `word` is in the line, and not as a part of a longer one.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(path: &str, text: String) -> usize {
        sizes(&Source::parse(path, text).unwrap()).len()
    }

    #[test]
    fn long_files_and_functions_are_refused() {
        let lines = |count| "// a line\n".repeat(count);
        assert_eq!(long("crates/a/src/b.rs", lines(400)), 0);
        assert_eq!(long("crates/a/src/b.rs", lines(401)), 1);
        assert_eq!(long("crates/a/tests/b.rs", lines(500)), 0);
        assert_eq!(long("crates/a/tests/b.rs", lines(501)), 1);
        let function = |lines: usize| format!("fn f() {{\n{}}}\n", "f();\n".repeat(lines - 2));
        assert_eq!(long("crates/a/src/b.rs", function(70)), 0);
        assert_eq!(long("crates/a/src/b.rs", function(71)), 1);
    }

    #[test]
    fn what_is_left_undone_is_refused() {
        for word in UNDONE {
            assert_eq!(undone("a.rs", &format!("fine\n// {word} later")).len(), 1, "{word}");
            assert_eq!(undone("a.rs", &format!("my_{word}")), [], "{word} as a part of a word");
        }
        assert_eq!(undone("a.md", "done"), []);
    }
}
