//! The functions of an assembly file as instructions: mnemonic, operands, and where its labels are.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instr {
    pub(super) op: String,
    pub(super) args: Vec<String>,
}

impl Instr {
    /// As the compiler wrote it, but for blanks.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.op, self.args.join(", ")).trim_end().to_owned()
    }

    pub(super) fn arg(&self, at: usize) -> Result<&str> {
        self.args
            .get(at)
            .map(String::as_str)
            .with_context(|| format!("`{}` has no operand {at}", self.text()))
    }
}

/// All instructions of a file, one after another.
#[derive(Debug, Default)]
pub(super) struct Code {
    pub(super) instrs: Vec<Instr>,
    labels: BTreeMap<String, usize>,
    aliases: BTreeMap<String, String>,
}

impl Code {
    /// Reads GNU assembly, as the compiler emits it for ELF.
    pub(super) fn of(text: &str) -> Code {
        let mut code = Code::default();
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default();
            let line = line.split("# ").next().unwrap_or_default().trim();
            if let Some(label) = line.strip_suffix(':') {
                code.labels.insert(label.to_owned(), code.instrs.len());
            } else if let Some((name, of)) = alias(line) {
                // Of two functions of the same instructions one is another name of the other.
                code.aliases.insert(name.trim().to_owned(), of.trim().to_owned());
            } else if !line.is_empty() && !line.starts_with(['.', '#']) {
                code.instrs.push(instr(line));
            }
        }
        code
    }

    /// Where a label is.
    pub(super) fn label(&self, name: &str) -> Result<usize> {
        let name = self.aliases.get(name).map_or(name, String::as_str);
        self.labels.get(name).copied().with_context(|| format!("no code of `{name}`"))
    }
}

/// `.set a, b` or `a = b`.
fn alias(line: &str) -> Option<(&str, &str)> {
    line.split_once(" = ").or_else(|| line.strip_prefix(".set")?.split_once(','))
}

fn instr(line: &str) -> Instr {
    let (mut op, mut rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let locked;
    // x86's prefix is part of what it does.
    if op == "lock" {
        let (of, operands) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest, ""));
        locked = format!("lock {of}");
        (op, rest) = (&locked, operands);
    }
    let (mut args, mut depth, mut one) = (Vec::new(), 0, String::new());
    for c in rest.chars().filter(|c| !c.is_whitespace()) {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                args.push(std::mem::take(&mut one));
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    if !one.is_empty() {
        args.push(one);
    }
    Instr { op: op.to_owned(), args }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_and_labels_are_read() {
        let code = Code::of(
            "\t.text\nf:\n\tldr\tx8, [x0, #8]  // a\n\tmv\ta0, a1  # b\n.L1:\n\tlock\t\torq\t$1, 4(%rdi,%rax)\n\tret\n.set g, f\ni = f\n",
        );
        let texts: Vec<_> = code.instrs.iter().map(Instr::text).collect();
        assert_eq!(texts, ["ldr x8, [x0,#8]", "mv a0, a1", "lock orq $1, 4(%rdi,%rax)", "ret"]);
        assert_eq!((code.label("f").unwrap(), code.label(".L1").unwrap()), (0, 2));
        assert_eq!((code.label("g").unwrap(), code.label("i").unwrap()), (0, 0));
        assert!(code.label("h").is_err());
    }
}
