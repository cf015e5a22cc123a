//! Reads a source file as tokens with line numbers: [`Source::accesses`], [`Source::functions`] and
//! [`Source::atomic_paths`]. Tokens see through macros, strings and line breaks, as a search by lines does not.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// A source file.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    tokens: TokenStream,
}

/// A call that takes an ordering.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) name: String,
    /// The line of its name, counted from 1.
    pub(super) line: usize,
    /// Its orderings, each with its line.
    pub(super) orderings: Vec<(String, usize)>,
    /// Whether it is in a module or item of tests.
    pub(super) in_tests: bool,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

impl Source {
    /// Reads a file; an error when it is not Rust.
    pub(super) fn parse(path: &str, text: String) -> Result<Source, String> {
        let tokens = text.parse().map_err(|why| format!("cannot be read as Rust: {why}"))?;
        Ok(Source { path: path.to_owned(), text, tokens })
    }

    /// Whether the whole file is tests.
    pub(super) fn is_tests(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Its tokens.
    pub(super) fn tokens(&self) -> TokenStream {
        self.tokens.clone()
    }

    /// All atomic accesses that name an ordering, in the order of the text.
    pub(super) fn accesses(&self) -> Vec<Access> {
        let mut found = Vec::new();
        accesses(self.tokens.clone(), self.is_tests(), &mut found);
        found
    }

    /// All functions that have a body.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        functions(self.tokens.clone(), &mut found);
        found
    }

    /// The lines where atomics are taken from core or std.
    pub(super) fn atomic_paths(&self) -> Vec<usize> {
        let mut found = Vec::new();
        atomic_paths(self.tokens.clone(), &mut found);
        found
    }
}

fn trees(stream: TokenStream) -> Vec<TokenTree> {
    stream.into_iter().collect()
}

fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

fn ident(tree: &TokenTree) -> Option<String> {
    match tree {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn group(tree: Option<&TokenTree>, delimiter: Delimiter) -> Option<TokenStream> {
    match tree {
        Some(TokenTree::Group(group)) if group.delimiter() == delimiter => Some(group.stream()),
        _ => None,
    }
}

/// The names under which core's atomics take orderings.
fn takes_ordering(name: &str) -> bool {
    matches!(name, "load" | "store" | "swap" | "fence" | "compiler_fence")
        || name.starts_with("fetch_")
        || name.starts_with("compare_exchange")
}

fn accesses(stream: TokenStream, mut in_tests: bool, found: &mut Vec<Access>) {
    let outside = in_tests;
    let trees = trees(stream);
    for (at, tree) in trees.iter().enumerate() {
        if let Some(attribute) = group(Some(tree), Delimiter::Bracket) {
            in_tests |= is_cfg_test(attribute);
        }
        if let Some(name) = ident(tree).filter(|name| takes_ordering(name))
            && let Some(args) = group(trees.get(at + 1), Delimiter::Parenthesis)
        {
            let mut orderings = Vec::new();
            own_orderings(args, &mut orderings);
            if !orderings.is_empty() {
                found.push(Access { name, line: line(tree), orderings, in_tests });
            }
        }
        if let TokenTree::Group(inner) = tree {
            accesses(inner.stream(), in_tests, found);
        }
        // An attribute reaches to the end of its item: a block, or a semicolon.
        let ends_item = group(Some(tree), Delimiter::Brace).is_some() || tree.to_string() == ";";
        if ends_item {
            in_tests = outside;
        }
    }
}

/// The orderings among a call's arguments, but not those of an access that is itself an argument.
fn own_orderings(args: TokenStream, found: &mut Vec<(String, usize)>) {
    let trees = trees(args);
    for (at, tree) in trees.iter().enumerate() {
        if let Some(name) = ident(tree).filter(|name| ORDERINGS.contains(&name.as_str())) {
            found.push((name, line(tree)));
        }
        if let TokenTree::Group(inner) = tree {
            let of_access = at > 0 && ident(&trees[at - 1]).is_some_and(|name| takes_ordering(&name));
            if !of_access {
                own_orderings(inner.stream(), found);
            }
        }
    }
}

/// `cfg(test)`, `cfg(all(test, …))`: what is there only for tests.
pub(super) fn is_cfg_test(attribute: TokenStream) -> bool {
    let trees = trees(attribute);
    let is_cfg = trees.first().and_then(ident).is_some_and(|name| name == "cfg");
    let text = trees.get(1).map(|args| args.to_string()).unwrap_or_default();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let negated = |at: usize| at > 0 && words[at - 1] == "not";
    is_cfg && (0..words.len()).any(|at| words[at] == "test" && !negated(at))
}

fn functions(stream: TokenStream, found: &mut Vec<Function>) {
    let trees = trees(stream);
    for (at, tree) in trees.iter().enumerate() {
        if ident(tree).is_some_and(|word| word == "fn")
            && let Some(name) = trees.get(at + 1).and_then(ident)
        {
            let end = trees[at..]
                .iter()
                .find(|next| group(Some(next), Delimiter::Brace).is_some() || next.to_string() == ";");
            if let Some(TokenTree::Group(body)) = end {
                let lines = body.span_close().end().line - line(tree) + 1;
                found.push(Function { name, line: line(tree), lines });
            }
        }
        if let TokenTree::Group(inner) = tree {
            functions(inner.stream(), found);
        }
    }
}

fn atomic_paths(stream: TokenStream, found: &mut Vec<usize>) {
    let trees = trees(stream);
    let is = |at: usize, text: &str| trees.get(at).is_some_and(|tree| tree.to_string() == text);
    for (at, tree) in trees.iter().enumerate() {
        let from_core = (is(at, "core") || is(at, "std")) && is(at + 1, ":") && is(at + 2, ":");
        if from_core && is(at + 3, "sync") && is(at + 4, ":") && is(at + 5, ":") {
            let listed = group(trees.get(at + 6), Delimiter::Brace)
                .is_some_and(|list| list.into_iter().any(|item| item.to_string() == "atomic"));
            if listed || is(at + 6, "atomic") {
                found.push(line(tree));
            }
        }
        if let TokenTree::Group(inner) = tree {
            atomic_paths(inner.stream(), found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::parse("crates/smpcall/src/a.rs", text.to_owned()).unwrap()
    }

    #[test]
    fn accesses_are_found_over_lines_in_macros_and_in_each_other() {
        let text = "fn f() {\n a.compare_exchange(\n  0,\n  b.load(Ordering::Relaxed),\n  AcqRel,\n  Acquire,\n );\n\
                    m! { x.store(1, Release) }\n \"y.store(1, Release)\"; v.swap(0, 1); sort(Less) }";
        let found = source(text).accesses();
        let names: Vec<_> = found.iter().map(|access| (access.name.as_str(), access.line)).collect();
        assert_eq!(names, [("compare_exchange", 2), ("load", 4), ("store", 8)]);
        assert_eq!(found[0].orderings, [("AcqRel".into(), 5), ("Acquire".into(), 6)]);
    }

    #[test]
    fn a_test_module_ends_where_it_ends() {
        let text = "#[cfg(test)] mod tests { fn f() { a.load(Relaxed) } } fn g() { b.load(Relaxed) }\n\
                    #[cfg(not(test))] fn h() { c.load(Relaxed) } #[cfg(all(test, loom))] fn i() { d.load(Relaxed) }";
        let in_tests: Vec<bool> = source(text).accesses().iter().map(|access| access.in_tests).collect();
        assert_eq!(in_tests, [true, false, false, true]);
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let text = "trait T { fn none(&self); }\nfn one() {}\nimpl A {\n fn three(\n f: fn(u8)) {\n }\n}";
        let found = source(text).functions();
        let seen: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(seen, [("one", 2, 1), ("three", 4, 3)]);
    }

    #[test]
    fn atomics_are_recognised_in_paths_and_lists() {
        let text = "use core::sync::atomic::AtomicU32;\nuse std::sync::{Arc, atomic};\nuse std::sync::Mutex;\n\
                    fn f() { core::sync::atomic::fence(o) } // core::sync::atomic";
        assert_eq!(source(text).atomic_paths(), [1, 2, 4]);
    }

    #[test]
    fn what_is_no_rust_is_an_error() {
        assert!(Source::parse("a.rs", "fn f( {".to_owned()).is_err());
    }
}
