//! Code in documents is code that is compiled. A block of Rust names a file and a marker, and must be the excerpt between
//! `// guide: MARKER` and `// guide: end` there, less its common indentation; or its document is a doctest, by an `include_str!` in a source.
//!
//! A block that is an excerpt begins with ```` ```rust file=PATH guide=MARKER ````.

use super::Breach;
use super::scan::Source;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use std::fs;
use std::path::Path;

const MARKER: &str = "// guide: ";

/// Blocks of a document that are no excerpts, or of another text.
pub(super) fn check(root: &Path, path: &str, text: &str, sources: &[Source]) -> Vec<Breach> {
    let included = format!("/{path}\")]");
    let is_doctest = sources.iter().any(|source| source.text.contains(&included));
    let blocks = blocks(text).into_iter().filter(|block| !is_doctest || block.word("guide").is_some());
    blocks.filter_map(|block| block.breach(root).map(|what| Breach::new(path, block.line, what))).collect()
}

/// A block of code.
struct Block {
    line: usize,
    info: String,
    code: String,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let line = text[..range.start].lines().count() + 1;
                blocks.push(Block { line, info: info.into_string(), code: String::new() });
                open = true;
            }
            Event::End(TagEnd::CodeBlock) => open = false,
            Event::Text(code) if open => {
                blocks.iter_mut().last().into_iter().for_each(|block| block.code += &code)
            }
            _ => {}
        }
    }
    blocks
}

impl Block {
    fn word(&self, name: &str) -> Option<&str> {
        self.info.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    /// What is wrong with it. Only Rust must be an excerpt: commands and output are not compiled.
    fn breach(&self, root: &Path) -> Option<String> {
        if self.info.split_whitespace().next() != Some("rust") {
            return None;
        }
        let (Some(file), Some(marker)) = (self.word("file"), self.word("guide")) else {
            return Some("code that names no file and marker: nobody compiles it".to_owned());
        };
        let Ok(source) = fs::read_to_string(root.join(file)) else {
            return Some(format!("there is no {file}"));
        };
        match excerpt(&source, marker) {
            None => Some(format!("{file} has no `{MARKER}{marker}` with its end")),
            Some(excerpt) if excerpt.trim_end() != self.code.trim_end() => {
                Some(format!("differs from {file}'s `{MARKER}{marker}`:\n{excerpt}"))
            }
            Some(_) => None,
        }
    }
}

/// The lines between the marker and the next end, less the indentation of the marker.
fn excerpt(source: &str, marker: &str) -> Option<String> {
    let mut lines = source.lines();
    let begin = format!("{MARKER}{marker}");
    let indent = lines.by_ref().find(|line| line.trim_start() == begin)?;
    let indent = indent.len() - indent.trim_start().len();
    let mut text = String::new();
    for line in lines {
        if line.trim_start() == format!("{MARKER}end") {
            return Some(text);
        }
        let cut = indent.min(line.len() - line.trim_start().len());
        text += &line[cut..];
        text.push('\n');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_is_there_and_has_code() {
        let text = fs::read_to_string(crate::sh::root().join("docs/kernel-guide.md")).unwrap();
        assert!(blocks(&text).iter().filter(|block| block.word("guide").is_some()).count() > 5);
    }

    #[test]
    fn a_block_must_be_its_excerpt() {
        let dir = tempfile::tempdir().unwrap();
        let source = "mod a {\n    // guide: x\n    fn f() {\n        g();\n    }\n    // guide: end\n}\n// guide: y\n";
        fs::write(dir.path().join("a.rs"), source).unwrap();
        let doctests = "#[doc = include_str!(\"../../../docs/b.md\")]\nstruct B;";
        let sources = [Source::parse("crates/a/src/doctests.rs", doctests.to_owned()).unwrap()];
        let of_document = |path: &str, info: &str, code: &str| {
            let breaches = check(dir.path(), path, &format!("# A\n\n```{info}\n{code}\n```\n"), &sources);
            breaches.into_iter().map(|breach| (breach.line, breach.what)).collect::<Vec<_>>()
        };
        let of = |info: &str, code: &str| of_document("docs/a.md", info, code);
        assert_eq!(of_document("docs/b.md", "rust", "fn f() {}"), [], "a doctest");
        assert_eq!(of_document("docs/b.md", "rust file=a.rs guide=x", "fn f() {}").len(), 1);
        assert_eq!(of("rust file=a.rs guide=x", "fn f() {\n    g();\n}"), []);
        assert_eq!(of("sh", "anything"), []);
        for (info, code, because) in [
            ("rust file=a.rs guide=x", "fn f() {}", "differs"),
            ("rust file=a.rs guide=y", "", "with its end"),
            ("rust file=a.rs guide=z", "", "with its end"),
            ("rust file=b.rs guide=x", "", "there is no b.rs"),
            ("rust", "fn f() {}", "names no file"),
        ] {
            let found = of(info, code);
            assert!(
                found.len() == 1 && found[0].0 == 3 && found[0].1.contains(because),
                "{because}: {found:?}"
            );
        }
    }
}
