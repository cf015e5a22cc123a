//! What a document in Markdown has that can be wrong: its links, its headings' anchors, and the code in it.

use pulldown_cmark::{CodeBlockKind, CowStr, Event, Parser, Tag, TagEnd};
use std::collections::BTreeMap;
use std::ops::Range;

/// A link, or an image, also one in HTML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) to: String,
    /// Where in the text the whole of it is.
    pub(crate) range: Range<usize>,
}

impl Link {
    /// The file, and the anchor in it; neither for what is elsewhere, or an item that rustdoc resolves.
    pub(crate) fn local(&self) -> Option<(&str, Option<&str>)> {
        if self.to.contains("://") || self.to.starts_with("mailto:") {
            return None;
        }
        let (file, anchor) = match self.to.split_once('#') {
            Some((file, anchor)) => (file, Some(anchor)),
            None => (self.to.as_str(), None),
        };
        (!file.contains("::")).then_some((file, anchor))
    }
}

/// A piece of code: a block with its language, or a span in a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) line: usize,
    /// Of a block. An indented one has none: it is empty.
    pub(crate) language: Option<String>,
    pub(crate) text: String,
}

/// All links and images of a document.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let mut links = Vec::new();
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(Link { line: line_of(text, range.start), to: dest_url.into_string(), range });
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let line = line_of(text, range.start);
                links.extend(html_links(&html).map(|to| Link {
                    line,
                    to: to.to_owned(),
                    range: range.clone(),
                }));
            }
            _ => {}
        }
    }
    links
}

/// What the attributes `href`, `src` and `srcset` of tags lead to.
pub(crate) fn html_links(html: &str) -> impl Iterator<Item = &str> {
    [" href=\"", " src=\"", " srcset=\""].into_iter().flat_map(|name| attributes(html, name))
}

/// The values of an attribute, by its name as it stands before the value.
pub(crate) fn attributes<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    html.match_indices(name).filter_map(move |(at, _)| html[at + name.len()..].split('"').next())
}

/// The anchors of a document's headings, as forges make them: a second one of the same name is numbered.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = Vec::new();
    let mut heading: Option<String> = None;
    for event in Parser::new(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let slug = heading.take().map(|heading| slug(&heading)).unwrap_or_default();
                let count = seen.entry(slug.clone()).or_default();
                anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
                *count += 1;
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// All code of a document.
pub(crate) fn code(text: &str) -> Vec<Code> {
    let mut found = Vec::new();
    let mut block: Option<Code> = None;
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match &kind {
                    CodeBlockKind::Fenced(info) => first_word(info),
                    CodeBlockKind::Indented => String::new(),
                };
                let fence = usize::from(matches!(kind, CodeBlockKind::Fenced(_)));
                let line = line_of(text, range.start) + fence;
                block = Some(Code { line, language: Some(language), text: String::new() });
            }
            Event::End(TagEnd::CodeBlock) => found.extend(block.take()),
            Event::Text(part) => {
                if let Some(block) = &mut block {
                    block.text.push_str(&part);
                }
            }
            Event::Code(part) => {
                let line = line_of(text, range.start);
                found.push(Code { line, language: None, text: part.into_string() });
            }
            _ => {}
        }
    }
    found
}

fn first_word(info: &CowStr<'_>) -> String {
    info.split([' ', ',']).next().unwrap_or_default().to_owned()
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_in_markdown_and_in_html() {
        let text = "# A\n[a](b.md#c) and ![d](e.svg)\n\n<picture><source srcset=\"f.svg\"><img src=\"g.svg\"></picture>\n\n\
                    ```\n[no](link.md)\n```\n[r][s]\n\n[s]: t.md\n[u](https://v.w/x), [y](crate::Z)\n";
        let found: Vec<_> = links(text).into_iter().map(|link| (link.line, link.to)).collect();
        let wanted = [(2, "b.md#c"), (2, "e.svg"), (4, "f.svg"), (4, "g.svg"), (9, "t.md")];
        let wanted = wanted.into_iter().chain([(12, "https://v.w/x"), (12, "crate::Z")]);
        assert_eq!(found, wanted.map(|(line, to)| (line, to.to_owned())).collect::<Vec<_>>());
        let local: Vec<_> = links(text).iter().map(|link| link.local().is_some()).collect();
        assert_eq!(local, [true, true, true, true, true, false, false]);
        assert_eq!(links("[a](b.md#c)")[0].local(), Some(("b.md", Some("c"))));
    }

    #[test]
    fn anchors_are_those_of_forges() {
        let text = "# Port's `ring`: how?\n## Dark & light\n### A_b-c\n## Dark & light\n";
        assert_eq!(anchors(text), ["ports-ring-how", "dark--light", "a_b-c", "dark--light-1"]);
    }

    #[test]
    fn code_has_its_line_and_its_language() {
        let text = "a `b c`\n\n```sh\nd\ne\n```\n\n    f\n\n```rust file=g\nh\n```\n";
        let found: Vec<_> =
            code(text).into_iter().map(|code| (code.line, code.language, code.text)).collect();
        let of =
            |line, language: Option<&str>, text: &str| (line, language.map(str::to_owned), text.to_owned());
        let wanted = [
            of(1, None, "b c"),
            of(4, Some("sh"), "d\ne\n"),
            of(8, Some(""), "f\n"),
            of(11, Some("rust"), "h\n"),
        ];
        assert_eq!(found, wanted);
    }
}
