//! The core's modules import downwards only: no file of it reaches itself by way of what it imports.
//!
//! An import is a path that begins with `crate`, `super` or `self`, or with a module below: in a `use` line or in the code.
//! It leads to the file that *defines* what is named, through re-exports; a re-export whose name its own file does not use is
//! none. What stands under `cfg(test)` is left out.

use super::Breach;
use super::scan::{Source, is_cfg_test};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

const ROOT: &str = "crates/smpcall/src/";

/// Imports that are let pass, each from a file to a file: they close a circle that is still to be opened.
const ALLOWED: &[(&str, &str)] = &[
    // An extension's methods speak of the port that it extends.
    ("platform/extensions.rs", "platform.rs"),
    ("platform/waiting.rs", "platform.rs"),
    ("platform/tuning.rs", "platform.rs"),
    // A listener is called in call context.
    ("smp.rs", "smp/context.rs"),
];

/// The path of a module, from the crate's root.
type Module = Vec<String>;

/// A name that a `use` line brings into a module.
struct Import {
    path: Vec<String>,
    name: String,
    line: usize,
    reexported: bool,
}

/// What one file says of others.
#[derive(Default)]
struct File {
    imports: Vec<(Module, Import)>,
    /// Paths in the code.
    paths: Vec<(Module, Vec<String>, usize)>,
    /// Every word of the code outside `use` lines.
    words: BTreeSet<String>,
}

/// Imports, from a file to another, with the first line that has it.
type Edges = BTreeMap<(String, String), usize>;

/// The circles among the core's files.
pub(super) fn check(sources: &[Source]) -> Vec<Breach> {
    // (Of files that are there: the rules' own tests have few.)
    let there = |from: &str| sources.iter().any(|source| source.path == format!("{ROOT}{from}"));
    let allowed: Vec<_> = ALLOWED.iter().copied().filter(|(from, _)| there(from)).collect();
    check_but(sources, &allowed)
}

fn check_but(sources: &[Source], allowed: &[(&str, &str)]) -> Vec<Breach> {
    let mut edges = edges(sources);
    let mut breaches = Vec::new();
    for (from, to) in allowed {
        if edges.remove(&((*from).to_owned(), (*to).to_owned())).is_none() {
            let what = format!("an import of {to} is let pass, and there is none: strike it from the list");
            breaches.push(Breach::new(&format!("{ROOT}{from}"), 1, what));
        }
    }
    while let Some(circle) = shortest_circle(&edges) {
        let (from, to) = (circle[0].clone(), circle[1].clone());
        let line = edges.remove(&(from.clone(), to)).unwrap_or(1);
        let what = format!("imports go in a circle: {}", circle.join(" → "));
        breaches.push(Breach::new(&format!("{ROOT}{from}"), line, what));
    }
    breaches
}

/// The shortest way from a file back to itself, if there is any.
fn shortest_circle(edges: &Edges) -> Option<Vec<String>> {
    let starts: BTreeSet<&String> = edges.keys().map(|(from, _)| from).collect();
    starts.into_iter().filter_map(|start| way_back(edges, start)).min_by_key(Vec::len)
}

fn way_back(edges: &Edges, start: &String) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut now = vec![start];
    while !now.is_empty() {
        let mut next = Vec::new();
        for at in now {
            for (_, to) in edges.keys().filter(|(from, _)| from == at) {
                if came_from.contains_key(to) {
                    continue;
                }
                came_from.insert(to, at);
                if to == start {
                    return Some(walked(&came_from, start));
                }
                next.push(to);
            }
        }
        now = next;
    }
    None
}

fn walked(came_from: &BTreeMap<&String, &String>, start: &String) -> Vec<String> {
    let mut way = vec![start.clone()];
    let mut at = came_from[start];
    while at != start {
        way.push(at.clone());
        at = came_from[at];
    }
    way.push(start.clone());
    way.reverse();
    way
}

fn edges(sources: &[Source]) -> Edges {
    let mut files: BTreeMap<Module, (String, File)> = BTreeMap::new();
    for source in sources {
        let Some(path) = source.path.strip_prefix(ROOT).filter(|_| !source.is_tests()) else { continue };
        let stem = path.trim_end_matches(".rs");
        let module: Module =
            if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() };
        let mut file = File::default();
        read(&source.tokens(), &module, &mut file);
        files.insert(module, (path.to_owned(), file));
    }
    let mut edges = Edges::new();
    for (from, file) in files.values() {
        let used = |import: &Import| !import.reexported || file.words.contains(&import.name);
        let imports = file.imports.iter().filter(|(_, import)| used(import));
        let imports = imports.map(|(module, import)| (module, &import.path, import.line));
        for (module, path, line) in
            imports.chain(file.paths.iter().map(|(module, path, line)| (module, path, *line)))
        {
            if let Some(to) = definer(&files, module, path, 0).filter(|to| to != from) {
                edges.entry((from.clone(), to)).or_insert(line);
            }
        }
    }
    edges
}

/// The file that defines what `path` names in `module`.
fn definer(
    files: &BTreeMap<Module, (String, File)>,
    module: &Module,
    path: &[String],
    depth: usize,
) -> Option<String> {
    let mut at = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            at.pop();
        }
        // A module of this one's; else another crate.
        name => {
            let below: Module = at.iter().cloned().chain([name.to_owned()]).collect();
            files.contains_key(&below).then(|| at = below)?;
        }
    }
    rest = &rest[1..];
    while let [name, below @ ..] = rest {
        if name == "super" {
            at.pop();
        } else {
            let module: Module = at.iter().cloned().chain([name.clone()]).collect();
            if !files.contains_key(&module) {
                break;
            }
            at = module;
        }
        rest = below;
    }
    // An inline module is in its file.
    while !files.contains_key(&at) {
        at.pop()?;
    }
    let (found, file) = &files[&at];
    let imported = rest.first().and_then(|name| {
        file.imports.iter().find(|(module, import)| *module == at && import.name == *name && depth < 8)
    });
    let further = imported.and_then(|(module, import)| definer(files, module, &import.path, depth + 1));
    Some(further.unwrap_or_else(|| found.clone()))
}

fn word(tree: Option<&TokenTree>) -> Option<String> {
    match tree {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    }
}

fn is(tree: Option<&TokenTree>, text: &str) -> bool {
    tree.is_some_and(|tree| tree.to_string() == text)
}

fn line(tree: &TokenTree) -> usize {
    tree.span().start().line
}

/// What the tokens of `module` import.
fn read(tokens: &TokenStream, module: &Module, file: &mut File) {
    let trees: Vec<TokenTree> = tokens.clone().into_iter().collect();
    let mut at = 0;
    let mut skip = false;
    while let Some(tree) = trees.get(at) {
        if let TokenTree::Group(group) = tree {
            if group.delimiter() == Delimiter::Bracket && at > 0 && is(trees.get(at - 1), "#") {
                skip |= is_cfg_test(group.stream());
            } else if !skip {
                let name = word(at.checked_sub(1).and_then(|before| trees.get(before)));
                let is_module = at > 1 && is(trees.get(at - 2), "mod");
                let below =
                    name.filter(|_| is_module).map(|name| module.iter().cloned().chain([name]).collect());
                read(&group.stream(), &below.unwrap_or_else(|| module.clone()), file);
            }
            skip &= group.delimiter() != Delimiter::Brace;
        } else if is(Some(tree), "use") {
            let end = (at..trees.len()).find(|end| is(trees.get(*end), ";")).unwrap_or(trees.len());
            let reexported = at > 0
                && (is(trees.get(at - 1), "pub")
                    || matches!(&trees[at - 1], TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis));
            if !skip {
                flatten(&trees[at + 1..end], &[], &mut |path, name| {
                    file.imports.push((module.clone(), Import { path, name, line: line(tree), reexported }));
                });
            }
            (at, skip) = (end, false);
        } else if let Some(name) = word(Some(tree)) {
            let is_path = matches!(name.as_str(), "crate" | "super" | "self") && is(trees.get(at + 1), ":");
            let first = at == 0 || !matches!(trees[at - 1].to_string().as_str(), "$" | ":");
            if is_path && first && !skip {
                let path = code_path(&trees[at..]);
                // In code, `super` of a function is its module's.
                file.paths.push((module.clone(), path, line(tree)));
            }
            if !skip {
                file.words.insert(name);
            }
        } else if is(Some(tree), ";") {
            skip = false;
        }
        at += 1;
    }
}

/// The words of a path that begins here.
fn code_path(trees: &[TokenTree]) -> Vec<String> {
    let mut path = Vec::new();
    let mut at = 0;
    while let Some(name) = word(trees.get(at)) {
        path.push(name);
        if !(is(trees.get(at + 1), ":") && is(trees.get(at + 2), ":")) {
            break;
        }
        at += 3;
    }
    path
}

/// Each name that the tree of a `use` line brings, and its path.
fn flatten(trees: &[TokenTree], before: &[String], found: &mut dyn FnMut(Vec<String>, String)) {
    for part in trees.split(|tree| is(Some(tree), ",")) {
        let mut path = before.to_vec();
        let mut name = None;
        let mut at = 0;
        while let Some(tree) = part.get(at) {
            match tree {
                TokenTree::Group(group) => {
                    let below: Vec<TokenTree> = group.stream().into_iter().collect();
                    flatten(&below, &path, found);
                    path.clear();
                }
                TokenTree::Ident(ident) if ident == "as" => {
                    name = word(part.get(at + 1));
                    at += 1;
                }
                TokenTree::Ident(ident) => path.push(ident.to_string()),
                _ => {}
            }
            at += 1;
        }
        if path.len() > before.len() && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        if let Some(last) = path.last().cloned() {
            found(path, name.unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Vec<Source> {
        files
            .iter()
            .map(|(path, text)| Source::parse(&format!("{ROOT}{path}"), (*text).to_owned()).unwrap())
            .collect()
    }

    fn whats(files: &[(&str, &str)], allowed: &[(&str, &str)]) -> Vec<String> {
        check_but(&tree(files), allowed).into_iter().map(|breach| breach.what).collect()
    }

    const PLANTED: [(&str, &str); 4] = [
        ("lib.rs", "mod a; mod b; mod c; pub use a::A;"),
        ("a.rs", "use crate::b::{B, other::X as Y};\nstruct A(B);"),
        ("b.rs", "mod inner { pub(crate) use crate::c::C; }\nstruct B(inner::C); fn f() -> inner::C { C }"),
        ("c.rs", "fn f(a: &crate::a::A) {}"),
    ];

    #[test]
    fn each_import_that_is_let_pass_is_of_a_file_that_is_there() {
        for (from, to) in ALLOWED {
            let core = crate::sh::root().join(ROOT);
            assert!(core.join(from).is_file() && core.join(to).is_file(), "{from} → {to}");
        }
    }

    #[test]
    fn a_circle_is_found_and_one_import_less_opens_it() {
        assert_eq!(whats(&PLANTED, &[]), ["imports go in a circle: a.rs → b.rs → c.rs → a.rs"]);
        assert_eq!(whats(&PLANTED, &[("c.rs", "a.rs")]), [""; 0]);
        let mut opened = PLANTED;
        opened[3].1 = "fn f(a: &u8) {}";
        assert_eq!(whats(&opened, &[]), [""; 0]);
        let stale = "an import of a.rs is let pass, and there is none: strike it from the list";
        assert_eq!(whats(&opened, &[("c.rs", "a.rs")]), [stale]);
    }

    #[test]
    fn each_circle_is_told_of() {
        let two = [
            ("a.rs", "use super::b::B;"),
            ("b.rs", "use crate::a::A;"),
            ("c.rs", "use crate::d::D;"),
            ("d.rs", "fn f() { super::c::g() }"),
        ];
        assert_eq!(whats(&two, &[]).len(), 2);
    }

    #[test]
    fn a_reexport_is_followed_to_its_definition_and_is_no_import_unless_it_is_used() {
        let facade = |more: &str| {
            whats(
                &[
                    ("a.rs", &format!("mod below; pub use self::below::B;\npub struct A;{more}")),
                    ("a/below.rs", "use super::A;\npub struct B(A);"),
                    ("b.rs", "use crate::a::B;"),
                ],
                &[],
            )
        };
        assert_eq!(facade(""), [""; 0]);
        assert_eq!(facade(" struct C(B);"), ["imports go in a circle: a.rs → a/below.rs → a.rs"]);
        let through = [
            ("a.rs", "mod below; pub use self::below::B;\nuse crate::b::X;\npub struct A(X);"),
            ("a/below.rs", "pub struct B;"),
            ("b.rs", "use crate::a::B;\npub struct X(B);"),
        ];
        assert_eq!(whats(&through, &[]), [""; 0], "what `b` wants of `a` is below it");
    }

    #[test]
    fn tests_import_what_they_like() {
        let tested = [
            ("a.rs", "use crate::b::B; #[cfg(test)] mod tests { use super::*; }"),
            ("b.rs", "#[cfg(all(test, not(loom)))] mod tests { use crate::a::A; fn f() { crate::a::g() } }"),
        ];
        assert_eq!(whats(&tested, &[]), [""; 0]);
    }
}
