//! Many mutants in one program. [`put_in`] writes each mutated function body beside the sound one; the environment
//! variable [`VARIABLE`] says, when the program starts, which of them runs. A mutant that is outside of every function body,
//! or in a function that cannot choose at run time, is left to a build of its own.

use super::table::Mutant;
use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::ops::Range;

/// The number of the mutant that a program is to be; without it the program is sound.
pub(super) const VARIABLE: &str = "SMPCALL_MUTANT";

/// The file that the switch itself is appended to.
pub(super) const CORE: &str = "crates/smpcall/src/lib.rs";

/// Which mutant this program is. Nothing that a model, the simulator or another CPU could see.
pub(super) const SWITCH: &str = r#"
#[doc(hidden)]
pub mod mutant {
    extern crate std;
    /// Whether the program is this mutant.
    #[inline]
    pub fn is(number: usize) -> bool {
        static NUMBER: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        let number_of = || std::env::var("SMPCALL_MUTANT").map_or(0, |number| number.parse().unwrap());
        *NUMBER.get_or_init(number_of) == number
    }
}
"#;

/// The text of `file` with those of its mutants that can be chosen at run time, and their numbers.
pub(super) fn put_in(file: &str, text: &str, mutants: &[(usize, &Mutant)]) -> Result<(String, Vec<usize>)> {
    let is =
        if file.starts_with("crates/smpcall/src/") { "crate::mutant::is" } else { "smpcall::mutant::is" };
    let mut bodies = BTreeMap::new();
    let tokens = text.parse().map_err(|why| anyhow!("{file} cannot be read as Rust: {why}"))?;
    find_bodies(tokens, &mut |body| _ = bodies.insert(body.start, (body, Vec::new())));
    for &(number, mutant) in mutants {
        let place = mutant.place(text);
        let before = bodies.range_mut(..place.start).next_back();
        if let Some((_, (_, inside))) = before.filter(|(_, (body, _))| place.end <= body.end) {
            inside.push((number, mutant));
        }
    }
    let (mut switched, mut numbers) = (text.to_owned(), Vec::new());
    // From the last to the first: a place is where it was until something before it grows.
    for (body, inside) in bodies.into_values().rev().filter(|(_, inside)| !inside.is_empty()) {
        let mut choice = String::new();
        for (number, mutant) in inside {
            let mutated = mutant.apply(text)?;
            let end = mutated.len() - (text.len() - body.end);
            choice += &format!("if {is}({number}) {} else ", &mutated[body.start..end]);
            numbers.push(number);
        }
        switched.replace_range(body.clone(), &format!("{{ {choice}{} }}", &text[body]));
    }
    Ok((switched, numbers))
}

/// Calls `found` with the place of each outermost function body, braces included, but for those that must be constant, hide
/// their type, or are a macro's.
fn find_bodies(stream: TokenStream, found: &mut impl FnMut(Range<usize>)) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let is = |at: usize, text: &str| trees.get(at).is_some_and(|tree| tree.to_string() == text);
    let braces =
        |at: usize| matches!(&trees[at], TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
    let mut at = 0;
    while at < trees.len() {
        if is(at, "fn") && matches!(trees.get(at + 1), Some(TokenTree::Ident(_))) {
            let end = (at..trees.len()).find(|&end| braces(end) || is(end, ";")).unwrap_or(trees.len());
            let constant = is(at.wrapping_sub(1), "const") || is(at.wrapping_sub(2), "const");
            let returns = (at..end).find(|&arrow| is(arrow, "-") && is(arrow + 1, ">"));
            let hidden = returns.is_some_and(|arrow| (arrow..end).any(|word| is(word, "impl")));
            if let (Some(TokenTree::Group(body)), false) = (trees.get(end), constant || hidden) {
                found(body.span_open().byte_range().start..body.span_close().byte_range().end);
            }
            at = end;
        } else if let TokenTree::Group(group) = &trees[at]
            && !is(at.wrapping_sub(1), "!")
        {
            find_bodies(group.stream(), found);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;

    const FILE: &str = "use a::One;\nimpl A {\n fn f(&self) -> u8 { let ä = 1; g(ä, one) }\n const fn h() -> u8 { two }\n}\n\
                        fn i() -> impl Fn() { || three }\nm! { fn j() { four } }\nfn k() { fn l() { five } l() }\n";

    fn switched(finds: &[&str]) -> (String, Vec<usize>) {
        let entry = |(number, find): (usize, &&str)| {
            format!(
                "[[mutant]]\nid = \"{number}\"\nfile = \"a.rs\"\nfind = \"{find}\"\nreplace = \"x{number}\"\n\
                 caught_by = \"loom:m\"\nwhy = \"it breaks\"\n"
            )
        };
        let table = Table::parse(&finds.iter().enumerate().map(entry).collect::<String>()).unwrap();
        let mutants: Vec<_> = table.mutants.iter().enumerate().collect();
        put_in("crates/smpcall/src/a.rs", FILE, &mutants).unwrap()
    }

    #[test]
    fn each_mutated_body_stands_beside_the_sound_one() {
        let (text, numbers) = switched(&["let ä = 1;", "five", "one"]);
        let f = "{ let ä = 1; g(ä, one) }";
        let choice = "{ if crate::mutant::is(0) { x0 g(ä, one) } else if crate::mutant::is(2) { let ä = 1; g(ä, x2) } \
                      else { let ä = 1; g(ä, one) } }";
        let k = "{ if crate::mutant::is(1) { fn l() { x1 } l() } else { fn l() { five } l() } }";
        assert_eq!(text, FILE.replace(f, choice).replace("{ fn l() { five } l() }", k));
        assert_eq!(numbers, [1, 0, 2]);
    }

    #[test]
    fn what_cannot_choose_is_left_alone() {
        for find in ["One", "&self", "two", "three", "four"] {
            assert_eq!(switched(&[find]), (FILE.to_owned(), Vec::new()), "{find}");
        }
    }

    /// One that cannot is built alone, and so are the sound sources once more for it: minutes.
    #[test]
    fn all_of_the_table_can_be_chosen_when_a_program_starts() {
        let root = crate::sh::root();
        let table = Table::read(&root).unwrap();
        let mut alone = Vec::new();
        for (at, mutant) in
            table.mutants.iter().enumerate().filter(|(_, mutant)| mutant.caught_by().is_some())
        {
            let text = std::fs::read_to_string(root.join(&mutant.file)).unwrap();
            if put_in(&mutant.file, &text, &[(at, mutant)]).unwrap().1.is_empty() {
                alone.push(&mutant.id);
            }
        }
        assert!(alone.is_empty(), "{alone:?}");
    }

    #[test]
    fn the_switch_reads_the_variable() {
        assert!(SWITCH.contains(&format!("var(\"{VARIABLE}\")")));
    }
}
