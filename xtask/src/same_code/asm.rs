//! The functions of an assembly file, made comparable: directives and comments left out, and what the compiler numbers
//! or hashes, local labels and the tails of mangled names, numbered by when it comes first in the function.

use std::collections::{BTreeMap, HashMap};

/// Instructions by function. Two that are the same but for their hashes are under one name.
#[derive(Debug, Default)]
pub(super) struct Functions(BTreeMap<String, Vec<Vec<String>>>);

impl Functions {
    /// Reads GNU assembly, as the compiler emits it for ELF and Mach-O.
    pub(super) fn of(text: &str) -> Self {
        let mut all = Self::default();
        let mut current: Option<(String, Names, Vec<String>)> = None;
        for line in text.lines() {
            let line = without_comment(line);
            let label = line.strip_suffix(':').filter(|label| !label.contains(char::is_whitespace));
            match label {
                Some(label) if !is_local(label) => {
                    all.end(current.take());
                    current = Some((plain(label), Names::default(), Vec::new()));
                }
                Some(label) => {
                    if let Some((_, names, lines)) = &mut current {
                        lines.push(names.of(label) + ":");
                    }
                }
                None if line.is_empty() || line.starts_with('.') => {
                    if is_end(line) {
                        all.end(current.take());
                    }
                }
                None => {
                    if let Some((_, names, lines)) = &mut current {
                        lines.push(names.replace(line));
                    }
                }
            }
        }
        all.end(current);
        all
    }

    /// Keeps what has instructions: constants have none.
    fn end(&mut self, function: Option<(String, Names, Vec<String>)>) {
        if let Some((name, _, mut lines)) = function {
            // The labels of constants and ends, which nothing in the function is.
            while lines.last().is_some_and(|line| line.ends_with(':')) {
                lines.pop();
            }
            if !lines.is_empty() {
                self.0.entry(name).or_default().push(lines);
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// How many instructions the function of that name in the example has.
    pub(super) fn instructions_of(&self, function: &str) -> Option<usize> {
        // `4code8post_all` in either way to mangle, at the end but for the hash.
        let path = format!("4code{}{function}", function.len());
        let bodies = self.0.iter().find(|(name, _)| {
            name.split_once(&path).is_some_and(|(_, rest)| rest.is_empty() || rest == "#" || rest == "E")
        })?;
        Some(bodies.1.iter().flatten().filter(|line| !line.ends_with(':')).count())
    }

    /// How many instructions each function of that name in the core has, one for each type that it is for.
    pub(super) fn instructions_of_each(&self, function: &str) -> Vec<usize> {
        let path = format!("{}{function}", function.len());
        let bodies = self.0.iter().filter(|(name, _)| name.contains(&path)).flat_map(|(_, bodies)| bodies);
        bodies.map(|body| body.iter().filter(|line| !line.ends_with(':')).count()).collect()
    }

    /// The names of those that are in one only, or have other instructions.
    pub(super) fn differing(&self, other: &Self) -> Vec<String> {
        let sorted = |all: &Self, name: &String| {
            let mut bodies = all.0.get(name).cloned().unwrap_or_default();
            bodies.sort();
            bodies
        };
        let mut names: Vec<_> = self.0.keys().chain(other.0.keys()).collect();
        names.sort();
        names.dedup();
        names.into_iter().filter(|name| sorted(self, name) != sorted(other, name)).cloned().collect()
    }
}

fn without_comment(line: &str) -> &str {
    let end = line.find("##").or_else(|| line.find("//")).unwrap_or(line.len());
    line[..end].trim()
}

fn is_local(label: &str) -> bool {
    label.starts_with(".L") || label.starts_with("L") || label.starts_with("ltmp")
}

fn is_end(line: &str) -> bool {
    line.starts_with(".size") || line.starts_with(".cfi_endproc")
}

/// What one function calls its local labels.
#[derive(Debug, Default)]
struct Names(HashMap<String, usize>);

impl Names {
    fn of(&mut self, label: &str) -> String {
        let next = self.0.len();
        format!(".L{}", self.0.entry(label.to_owned()).or_insert(next))
    }

    /// Replaces each local label in a line, and the hashes of other names.
    fn replace(&mut self, line: &str) -> String {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$');
        let mut out = String::new();
        let mut rest = line;
        while let Some(start) = rest.find(is_name) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c| !is_name(c)).unwrap_or(from.len());
            let (word, after) = from.split_at(end);
            out.push_str(before);
            out.push_str(&if is_local(word) { self.of(word) } else { plain(word) });
            rest = after;
        }
        out.push_str(rest);
        out.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// A name without what says only which build of the crate it is from: the hash of a legacy name, the crate's
/// disambiguator (`Cs…_`) of a v0 name.
fn plain(name: &str) -> String {
    if let Some((name, hash)) = name.rsplit_once("17h")
        && hash.len() == 17
        && hash.ends_with('E')
    {
        return format!("{name}#");
    }
    let mut out = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("Cs") {
        out.push_str(before);
        let hash = after
            .split_once('_')
            .filter(|(hash, _)| hash.len() > 6 && hash.chars().all(|c| c.is_ascii_alphanumeric()));
        out.push_str(if hash.is_some() { "C#" } else { "Cs" });
        rest = hash.map_or(after, |(_, tail)| tail);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "\t.text\n_ZN4code4post17h0123456789abcdefE:\n\t.cfi_startproc\n\tmovq\t%rdi, %rax  ## a\n.LBB3_1:\n\
                       \tjne\t.LBB3_1\n\tcallq\t_ZN1a1b17hffffffffffffffffE\n\t.size\tx, y\n.Lanon.1:\n\t.long 3\n";

    #[test]
    fn numbers_and_hashes_do_not_count() {
        let other = ONE.replace("LBB3_1", "LBB77_4").replace("0123", "4567").replace("hffff", "h0000");
        let (one, other) = (Functions::of(ONE), Functions::of(&other));
        assert_eq!(one.differing(&other), Vec::<String>::new());
        assert_eq!((one.len(), one.instructions_of("post"), one.instructions_of("pos")), (1, Some(3), None));
    }

    #[test]
    fn an_instruction_more_or_another_operand_or_callee_is_seen() {
        for (from, to) in
            [("%rdi", "%rsi"), ("\tjne\t", "\tnop\n\tjne\t"), ("1a1b", "1a1c"), ("4post", "4pest")]
        {
            let other = Functions::of(&ONE.replace(from, to));
            assert!(!Functions::of(ONE).differing(&other).is_empty(), "{from} for {to}");
        }
        assert!(!Functions::of(ONE).differing(&Functions::default()).is_empty());
    }

    #[test]
    fn jumps_to_other_labels_are_told_apart() {
        let text = "f:\n.LA:\n.LB:\n\tjmp\t.LA\n\tret\n";
        let other = text.replace("jmp\t.LA", "jmp\t.LB");
        assert_eq!(Functions::of(text).differing(&Functions::of(&other)), ["f"]);
    }

    #[test]
    fn both_ways_to_mangle_lose_their_hashes() {
        assert_eq!(plain("_ZN4code4post17h0123456789abcdefE"), "_ZN4code4post#");
        assert_eq!(plain("_RNvCsgXYVNXlV9cS_4code4post"), "_RNvC#4code4post");
        assert_eq!(plain("_RNvCs_4code"), "_RNvCs_4code");
        assert_eq!(plain("memcpy"), "memcpy");
    }
}
