//! Documents that are rendered cite nothing that only the sources have: an invariant's number means nothing to whoever
//! cannot open the module that lists them. Docs of what is not public may cite them.

use super::Breach;
use super::scan::Source;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Invariants that are cited by their number in the documents of public items, and of a crate.
pub(super) fn check(source: &Source) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if source.path.starts_with("crates/") && source.path.contains("/src/") {
        walk(source.tokens(), Seen::IfPub, source.path.ends_with("/src/lib.rs"), &mut |line, number| {
            let what =
                format!("`{number}` is private; public documents cite a promise, or say it in plain words");
            breaches.push(Breach::new(&source.path, line, what));
        });
    }
    breaches
}

/// Who sees the items of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Whoever sees the block: variants of a public enum, methods of a public trait.
    All,
    /// Those that are `pub`.
    IfPub,
}

/// `is_root`: the block's own documents are a crate's front page.
fn walk(stream: TokenStream, seen: Seen, is_root: bool, found: &mut impl FnMut(usize, &str)) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let is = |at: usize, text: &str| trees.get(at).is_some_and(|tree| tree.to_string() == text);
    let (mut docs, mut hidden, mut inside, mut at) = (Vec::new(), false, Seen::IfPub, 0);
    let mut starts = true;
    while at < trees.len() {
        let inner = is(at, "#") && is(at + 1, "!");
        let attribute = trees.get(at + 1 + usize::from(inner)).filter(|_| is(at, "#"));
        if let Some(TokenTree::Group(group)) = attribute.filter(|_| starts) {
            let text = group.stream().to_string();
            let line = group.span_open().start().line;
            let private = numbers(&text).filter(|_| text.starts_with("doc")).map(|number| (line, number));
            match private {
                Some((line, number)) if inner && is_root => found(line, &number),
                found if !inner => docs.extend(found),
                _ => {}
            }
            hidden |= ["hidden", "unnameable_types"].iter().any(|word| text.contains(word));
            at += 2 + usize::from(inner);
            continue;
        }
        if starts {
            let is_pub = is(at, "pub") && !matches!(&trees.get(at + 1), Some(TokenTree::Group(_)));
            let public = !hidden && (is_pub || seen == Seen::All);
            docs.drain(..)
                .filter(|_| public)
                .for_each(|(line, number): (usize, String)| found(line, &number));
            inside = if public { Seen::All } else { Seen::IfPub };
            starts = false;
        }
        // What is in other items than these is public by itself, or not.
        if ["fn", "impl", "mod", "struct", "union", "macro"].iter().any(|word| is(at, word)) {
            inside = Seen::IfPub;
        }
        if let TokenTree::Group(group) = &trees[at]
            && group.delimiter() == Delimiter::Brace
        {
            walk(group.stream(), inside, false, found);
        }
        let ends = matches!(&trees[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
        if ends || is(at, ";") || is(at, ",") {
            (starts, hidden) = (true, false);
        }
        at += 1;
    }
}

/// The first word of the kind `I12`.
fn numbers(text: &str) -> Option<String> {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    words.find(|word| word.strip_prefix('I').is_some_and(is_number)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let source = Source::parse(path, text.to_owned()).unwrap();
        check(&source).iter().map(|breach| breach.line).collect()
    }

    #[test]
    fn numbers_of_invariants_are_refused_in_what_is_rendered() {
        let text = "//! By I1.\n/// By I2.\n#[derive(Debug)]\npub struct A {\n    /// By I3.\n    pub a: u8,\n    /// By I4.\n    b: u8,\n}\n\
                    /// By I5.\npub enum B {\n    /// By I6.\n    One,\n    /// By I7.\n    Two { a: u8 },\n}\n\
                    impl A {\n    /// By I8.\n    pub const fn f() { g(I9, 1); }\n}\npub trait T {\n    /// By I10.\n    fn h();\n}\n";
        let found = [1, 2, 5, 10, 12, 14, 18, 22];
        assert_eq!(lines("crates/a/src/lib.rs", text), found);
        assert_eq!(lines("crates/a/src/b.rs", text), found[1..], "the page of a module is private");
        assert_eq!(lines("crates/a/tests/b.rs", text), [0; 0]);
    }

    #[test]
    fn what_is_not_rendered_may_have_them() {
        let text = "/// By I1.\nstruct A {\n    /// By I2.\n    a: u8,\n}\n/// By I3.\npub(crate) fn f() {}\n\
                    /// By I4.\n#[doc(hidden)]\npub fn g() {}\nimpl A {\n    /// By I5.\n    fn h() {}\n}\n// By I6.\npub fn i() {}\n\
                    /// I, II, I/O, AI7 and P11.\npub fn j() {}\nenum E {\n    /// By I8.\n    A,\n}\n";
        assert_eq!(lines("crates/a/src/lib.rs", text), [0; 0]);
    }
}
