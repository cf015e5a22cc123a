//! Every function that a user can call has an example that calls it, where a reader of its documentation finds it: in its own documents; in those of
//! its type or trait, which stand on the same page; on the crate's front page, with its type; or where a line ``Example: `Type::method` `` leads, there or in its
//! type's documents: to another item, or a file of this repository.
//!
//! Whether the code is right is for the compiler: it is a doctest, or a program. Here it must have the function's name, as a word.

use super::Breach;
use super::scan::{Source, is_cfg_test};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;

/// The crates that are published.
const CRATES: [&str; 5] = ["smpcall", "smpcall-host", "smpcall-bare", "smpcall-conformance", "smpcall-kvm"];
/// The front page, among items.
const FRONT: &str = "crate";
/// How a line begins that says where examples are.
const LEADS: [&str; 2] = ["Example: ", "Examples: "];

/// Functions of the published crates that no example calls.
pub(super) fn check(sources: &[Source]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for name in CRATES {
        let folder = format!("crates/{name}/src/");
        let mut items = Items::default();
        for source in sources.iter().filter(|source| source.path.starts_with(&folder)) {
            items.walk(source, source.tokens(), &Block::Module);
        }
        breaches.extend(items.breaches(&folder, sources));
    }
    breaches
}

/// What a block of items is.
enum Block {
    Module,
    /// Of the type's own methods.
    Impl(String),
    Trait(String),
}

#[derive(Default)]
struct Items {
    /// Code in the documents of each type and trait, by its name, of each function, by `Type::name`, and of the front page, by [`FRONT`].
    code: BTreeMap<String, String>,
    functions: Vec<Function>,
    /// What a type's line that begins with one of [`LEADS`] names.
    leads: BTreeMap<String, Vec<String>>,
    /// Modules that are hidden.
    hidden: Vec<String>,
}

struct Function {
    path: String,
    line: usize,
    owner: Option<String>,
    name: String,
    /// What its own such line names.
    leads_to: Vec<String>,
}

impl Function {
    fn full_name(&self) -> String {
        self.owner.as_ref().map_or_else(|| self.name.clone(), |owner| format!("{owner}::{}", self.name))
    }
}

impl Items {
    fn breaches(self, folder: &str, sources: &[Source]) -> Vec<Breach> {
        let calls = |item: &str, name: &str| {
            let file = || sources.iter().find(|source| source.path == item).map(|source| &source.text);
            self.code.get(item).or_else(file).is_some_and(|code| has_word(code, name))
        };
        let is_hidden = |path: &str| self.hidden.iter().any(|module| *path == format!("{folder}{module}.rs"));
        let is_on_front = |function: &Function| {
            calls(FRONT, &function.name) && function.owner.iter().all(|owner| calls(FRONT, owner))
        };
        let leads = |function: &Function| {
            let of_type = function.owner.iter().filter_map(|owner| self.leads.get(owner)).flatten();
            function.leads_to.iter().chain(of_type).cloned().collect::<Vec<_>>()
        };
        let lacks = |function: &&Function| {
            let (own, leads) = (function.full_name(), leads(function));
            let mut places = [&own].into_iter().chain(&function.owner).chain(&leads);
            let has = is_on_front(function) || places.any(|place| calls(place, &function.name));
            !is_hidden(&function.path) && !has
        };
        let breach = |function: &Function| {
            let (name, leads) = (function.full_name(), leads(function).join("`, `"));
            let what = match leads.as_str() {
                "" => format!("`{name}`: no example calls it"),
                _ => {
                    format!("`{name}`: no example calls it, nor does `{leads}`, to which its documents lead")
                }
            };
            Breach::new(&function.path, function.line, what)
        };
        self.functions.iter().filter(lacks).map(breach).collect()
    }

    /// Items and their documents; in a function's body there are none.
    fn walk(&mut self, source: &Source, stream: TokenStream, block: &Block) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let is = |at: usize, text: &str| trees.get(at).is_some_and(|tree| tree.to_string() == text);
        let mut at = 0;
        while at < trees.len() {
            let Attributes { docs, front, hidden, end: first } = attributes(&trees, at);
            if source.path.ends_with("/src/lib.rs") {
                self.code.entry(FRONT.to_owned()).or_default().push_str(&code(&front));
            }
            at = first;
            let end = (at..trees.len()).find(|&end| is(end, ";") || braces(&trees[end]).is_some());
            let end = end.unwrap_or(trees.len());
            let is_pub = is(at, "pub") && !matches!(trees.get(at + 1), Some(TokenTree::Group(_)));
            if hidden && (at..end).any(|at| is(at, "mod")) {
                self.hidden.extend(trees.get(end.wrapping_sub(1)).map(TokenTree::to_string));
            }
            let is_unseen = hidden || !is_pub && !matches!(block, Block::Trait(_));
            let keyword = |at: &usize| {
                let words = ["fn", "impl", "trait", "mod", "struct", "enum", "union", "type"];
                words.iter().any(|word| is(*at, word))
            };
            let name = |at: usize| trees.get(at + 1).map(TokenTree::to_string).unwrap_or_default();
            let body = trees.get(end).and_then(braces);
            match (at..end).find(keyword) {
                _ if hidden => {}
                Some(at) if is(at, "fn") && !is_unseen => self.function(source, &trees[at + 1], block, &docs),
                Some(at) if is(at, "impl") => {
                    if let (Some(owner), Some(body)) = (implemented(&trees[at + 1..end]), body) {
                        self.walk(source, body, &Block::Impl(owner));
                    }
                }
                // What is sealed is nobody's to call.
                Some(at) if is(at, "mod") && name(at).starts_with("sealed") => {}
                Some(at) if is(at, "mod") => {
                    body.into_iter().for_each(|body| self.walk(source, body, &Block::Module))
                }
                Some(at) if !is_unseen && !is(at, "fn") => {
                    self.code.entry(name(at)).or_default().push_str(&code(&docs));
                    self.leads.entry(name(at)).or_default().extend(leads(&docs));
                    if let (true, Some(body)) = (is(at, "trait"), body) {
                        self.walk(source, body, &Block::Trait(name(at)));
                    }
                }
                // Items that a macro is given, as they are.
                None if is(at + 1, "!") && !is(at, "macro_rules") => {
                    body.into_iter().for_each(|body| self.walk(source, body, block));
                }
                _ => {}
            }
            at = end + 1;
        }
    }

    fn function(&mut self, source: &Source, name: &TokenTree, block: &Block, docs: &[String]) {
        let owner = match block {
            Block::Module => None,
            Block::Impl(owner) | Block::Trait(owner) => Some(owner.clone()),
        };
        let function = Function {
            path: source.path.clone(),
            line: name.span().start().line,
            owner,
            name: name.to_string(),
            leads_to: leads(docs),
        };
        self.code.entry(function.full_name()).or_default().push_str(&code(docs));
        self.functions.push(function);
    }
}

/// What stands before an item.
struct Attributes {
    /// Line by line.
    docs: Vec<String>,
    /// Those of the file, if it begins here.
    front: Vec<String>,
    /// Whether it is hidden, or there for tests and the simulator only.
    hidden: bool,
    /// Where the item itself begins.
    end: usize,
}

fn attributes(trees: &[TokenTree], mut end: usize) -> Attributes {
    let (mut docs, mut front, mut hidden) = (Vec::new(), Vec::new(), false);
    while trees.get(end).is_some_and(|tree| tree.to_string() == "#") {
        let inner = usize::from(trees.get(end + 1).is_some_and(|tree| tree.to_string() == "!"));
        if let Some(TokenTree::Group(group)) = trees.get(end + 1 + inner) {
            let words: Vec<TokenTree> = group.stream().into_iter().collect();
            let lines = if inner == 1 { &mut front } else { &mut docs };
            match words.first().map(TokenTree::to_string).as_deref() {
                Some("doc") => match words.get(2) {
                    Some(TokenTree::Literal(text)) => {
                        lines.push(text.to_string().trim_matches('"').to_owned())
                    }
                    _ => hidden |= words.last().is_some_and(|word| word.to_string().contains("hidden")),
                },
                // Code that is compiled with a feature begins by such a line, and by another without it.
                Some("cfg_attr") if group.stream().to_string().contains("\"```\"") => {
                    lines.push("```".to_owned())
                }
                Some("cfg") if inner == 0 => {
                    let text = group.stream().to_string();
                    let simulated = text.contains("smpcall_sim") && !text.contains("not");
                    hidden |= simulated || is_cfg_test(group.stream());
                }
                _ => {}
            }
        }
        end += 2 + inner;
    }
    Attributes { docs, front, hidden, end }
}

/// The type whose own methods a block has: nothing if it implements a trait. `header` is what stands between `impl` and the block.
fn implemented(header: &[TokenTree]) -> Option<String> {
    let (mut depth, mut owner, mut is_over) = (0_i32, None, false);
    for (at, tree) in header.iter().enumerate() {
        let arrow = at > 0 && header[at - 1].to_string() == "-";
        match tree.to_string().as_str() {
            "<" => depth += 1,
            ">" if !arrow => depth -= 1,
            "for" if depth == 0 => return None,
            "where" if depth == 0 => break,
            ":" => {}
            word if depth == 0 && !is_over && word.starts_with(char::is_alphabetic) => {
                owner = Some(word.to_owned())
            }
            _ => {}
        }
        is_over = owner.is_some() && depth > 0;
    }
    owner
}

/// What is named, in backticks, by lines that say where examples are.
fn leads(docs: &[String]) -> Vec<String> {
    let lines = docs.iter().filter_map(|line| LEADS.iter().find_map(|begin| line.trim().strip_prefix(begin)));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The code among documents that is compiled, and not to show what does not compile.
fn code(docs: &[String]) -> String {
    let (mut code, mut inside) = (String::new(), None);
    for line in docs {
        match (line.trim().strip_prefix("```"), inside) {
            (Some(_), Some(_)) => inside = None,
            (Some(kind), None) => inside = Some(!kind.contains("text") && !kind.contains("compile_fail")),
            (None, Some(true)) => code = code + line + "\n",
            _ => {}
        }
    }
    code
}

fn braces(tree: &TokenTree) -> Option<TokenStream> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
        _ => None,
    }
}

/// Outside of comments.
fn has_word(code: &str, name: &str) -> bool {
    let code = code.lines().filter_map(|line| line.split("//").next());
    code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(text: &str) -> Vec<String> {
        let source = |path: &str, text: &str| Source::parse(path, text.to_owned()).unwrap();
        let program = source("kernel/src/main.rs", "fn main() { by_a_program(); }");
        let elsewhere = source("crates/smpcall-sim/src/lib.rs", "pub fn f() {}");
        let breaches = check(&[source("crates/smpcall/src/lib.rs", text), program, elsewhere]);
        breaches.iter().map(|breach| breach.what.split('`').nth(1).unwrap().to_owned()).collect()
    }

    #[test]
    fn who_has_no_example_is_named() {
        let text = "/// Does it.\npub fn a() {}\npub struct S<A, B>(A, B);\nimpl<A: Fn() -> B, B> S<A, B> {\n\
                    /// ```\n/// // b\n/// other();\n/// ```\npub const fn b() {}\n\
                    /// ```text\n/// c()\n/// ```\npub unsafe fn c() {}\n\
                    /// ```compile_fail\n/// d()\n/// ```\npub fn d() {}\n\
                    /// Example: `S::b`\npub fn e() {}\n}\n\
                    pub trait T {\nfn f(&self);\n}\nmod inner { macro! { pub fn g() {} } }\n\
                    /// Example: `kernel/src/main.rs`\npub fn h() {}\n";
        assert_eq!(lacking(text), ["a", "S::b", "S::c", "S::d", "S::e", "T::f", "g", "h"]);
    }

    #[test]
    fn an_example_may_stand_with_the_item_its_type_its_crate_or_elsewhere() {
        let text = "//! ```\n//! on_the_front();\n//! ```\n\
                    /// ```\n/// let a = its_own();\n/// ```\npub fn its_own() {}\npub fn on_the_front() {}\n\
                    /// ```no_run\n/// s.of_the_type();\n/// ```\npub struct S;\nimpl S {\npub fn of_the_type(&self) {}\n\
                    /// ```\n/// pair(); other();\n/// ```\npub fn pair() {}\n/// Example: [`S::pair`].\npub fn other() {}\n}\n\
                    /// ```\n/// fn asked(&self) {}\n/// ```\npub unsafe trait T {\nfn asked(&self);\n}\n\
                    /// Examples: [`S`], `kernel/src/main.rs`.\npub fn by_a_program() {}\n\
                    /// Example: `kernel/src/main.rs`.\npub struct U;\nimpl U {\npub fn by_a_program() {}\n}\n";
        assert_eq!(lacking(text), [""; 0]);
    }

    #[test]
    fn who_cannot_be_called_needs_none() {
        let text = "pub(crate) fn a() {}\nfn b() {}\n#[doc(hidden)]\npub fn c() {}\n#[cfg(test)]\npub fn d() {}\n\
                    #[cfg(smpcall_sim)]\npub fn e() {}\nstruct S;\nimpl Drop for S {\nfn drop(&mut self) {}\n}\nimpl S {\nfn f() {}\n}\n\
                    mod sealed {\npub trait Sealed {\nfn g();\n}\n}\ntrait T {\nfn h();\n}\nmacro_rules! m {\n() => { pub fn i() {} };\n}\n";
        assert_eq!(lacking(text), [""; 0]);
    }
}
