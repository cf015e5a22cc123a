//! Lays a book's sources: the chapters of `docs/SUMMARY.md`, wherever in the repository they are, in folders as there. A README is
//! its folder's first page. What a chapter links to and is no chapter is laid too: pictures as they are, other files as pages that
//! show them, a folder as a page that lists it.

use crate::{files, markdown};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

const SUMMARY: &str = "docs/SUMMARY.md";
const SETTINGS: &str = "docs/book.toml";
const PICTURES: [&str; 2] = ["svg", "png"];

/// What is to be laid.
struct Book<'a> {
    root: &'a Path,
    chapters: BTreeSet<PathBuf>,
    /// The book's own contents stand beside every page: a link to them leads here.
    first: PathBuf,
    /// Links lead to them.
    pictures: BTreeSet<PathBuf>,
    shown: BTreeSet<PathBuf>,
    listed: BTreeSet<PathBuf>,
}

/// Lays the book of the repository `root` in `to`; how many chapters it has.
pub(super) fn lay(root: &Path, to: &Path) -> Result<usize> {
    let summary = fs::read_to_string(root.join(SUMMARY)).with_context(|| format!("reading {SUMMARY}"))?;
    let in_docs = Path::new("docs");
    let linked = markdown::links(&summary).into_iter().map(|link| normal(&in_docs.join(link.to)));
    let linked: Vec<_> = linked.collect();
    let first = linked.first().with_context(|| format!("{SUMMARY} has no chapters"))?.clone();
    let chapters = linked.into_iter().collect();
    let none = BTreeSet::new;
    let mut book = Book { root, chapters, first, pictures: none(), shown: none(), listed: none() };
    book.demand_all_documents()?;
    let sources = to.join("src");
    write(&to.join("book.toml"), &fs::read_to_string(root.join(SETTINGS))?)?;
    for chapter in book.chapters.clone() {
        let text = fs::read_to_string(root.join(&chapter))
            .with_context(|| format!("reading {}", chapter.display()))?;
        let text = book.relinked(&chapter, &text)?;
        write(&sources.join(as_page(&chapter)), &text)?;
    }
    let contents = relinked(&summary, |link| {
        let page = as_page(&normal(&in_docs.join(&link.to)));
        Ok(Some(page.to_string_lossy().into_owned()))
    })?;
    write(&sources.join("SUMMARY.md"), &contents)?;
    book.lay_linked(&sources)?;
    Ok(book.chapters.len())
}

impl Book<'_> {
    /// No document of `docs/` is left out.
    fn demand_all_documents(&self) -> Result<()> {
        for file in files::all(self.root)? {
            let is_document = file.starts_with("docs") && file.extension().is_some_and(|kind| kind == "md");
            let is_there = self.chapters.contains(&file) || file == Path::new(SUMMARY);
            ensure!(!is_document || is_there, "{} is no chapter of {SUMMARY}", file.display());
        }
        Ok(())
    }

    /// The chapter with its links as the book has them; takes note of what they lead to.
    fn relinked(&mut self, chapter: &Path, text: &str) -> Result<String> {
        let folder = chapter.parent().unwrap_or(Path::new("")).to_owned();
        relinked(text, |link| {
            let Some((file, anchor)) = link.local().filter(|(file, _)| !file.is_empty()) else {
                return Ok(None);
            };
            let target = normal(&folder.join(file));
            let to = self
                .place(&target)
                .with_context(|| format!("{}:{}: {file}", chapter.display(), link.line))?;
            let up = folder.components().map(|_| "..").collect::<PathBuf>();
            let to = shortened(&folder, &up, &to);
            let anchor = anchor.map(|anchor| format!("#{anchor}")).unwrap_or_default();
            Ok(Some(to + &anchor))
        })
    }

    /// Where a file or folder of the repository is in the book.
    fn place(&mut self, target: &Path) -> Result<PathBuf> {
        let readme = target.join("README.md");
        let extension = target.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if self.chapters.contains(target) {
            return Ok(as_page(target));
        }
        if target == Path::new(SUMMARY) {
            return Ok(as_page(&self.first));
        }
        if self.root.join(target).is_dir() {
            if self.chapters.contains(&readme) {
                return Ok(as_page(&readme));
            }
            self.listed.insert(target.to_owned());
            return Ok(target.join("index.html"));
        }
        ensure!(self.root.join(target).exists(), "it is not there");
        if PICTURES.contains(&extension) {
            self.pictures.insert(target.to_owned());
            return Ok(target.to_owned());
        }
        if extension == "md" {
            bail!("a document that is linked to is a chapter: add it to {SUMMARY}");
        }
        self.shown.insert(target.to_owned());
        Ok(shown(target))
    }

    fn lay_linked(&mut self, sources: &Path) -> Result<()> {
        let all = files::all(self.root)?;
        for folder in &self.listed {
            let inside: Vec<&PathBuf> = all.iter().filter(|file| file.starts_with(folder)).collect();
            let mut list = String::from("<ul>");
            for file in &inside {
                let name = escaped(&file.strip_prefix(folder)?.to_string_lossy());
                list += &format!("<li><a href=\"{name}.html\">{name}</a></li>\n");
            }
            write(&sources.join(folder).join("index.html"), &page(folder, &(list + "</ul>")))?;
            self.shown.extend(inside.into_iter().cloned());
        }
        for file in &self.shown {
            let text = fs::read_to_string(self.root.join(file))
                .with_context(|| format!("reading {}", file.display()))?;
            let body = format!("<pre>{}</pre>", escaped(&text));
            write(&sources.join(shown(file)), &page(file, &body))?;
        }
        for picture in &self.pictures {
            let text = fs::read(self.root.join(picture))?;
            let to = sources.join(picture);
            fs::create_dir_all(to.parent().unwrap_or(sources))?;
            fs::write(to, text)?;
        }
        Ok(())
    }
}

/// A path without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

fn as_page(chapter: &Path) -> PathBuf {
    let is_readme = chapter.file_name().is_some_and(|name| name == "README.md");
    if is_readme { chapter.with_file_name("index.md") } else { chapter.to_owned() }
}

fn shown(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("{name}.html"))
}

/// The way from a folder to a file: within it, or by way of the root.
fn shortened(folder: &Path, up: &Path, to: &Path) -> String {
    let way = to.strip_prefix(folder).map_or_else(|_| up.join(to), Path::to_path_buf);
    way.to_string_lossy().into_owned()
}

/// The text with the links that `to` answers for leading where it says.
fn relinked(text: &str, mut to: impl FnMut(&markdown::Link) -> Result<Option<String>>) -> Result<String> {
    let mut new = text.to_owned();
    let mut links = markdown::links(text);
    links.sort_by_key(|link| link.range.start);
    for link in links.iter().rev() {
        let Some(to) = to(link)? else { continue };
        let whole = &text[link.range.clone()];
        let at = [format!("]({}", link.to), format!("=\"{}\"", link.to)]
            .iter()
            .find_map(|form| whole.rfind(form.as_str()));
        let at = at
            .with_context(|| format!("line {}: a link by reference; write it in its place", link.line))?
            + 2;
        let start = link.range.start + at;
        new.replace_range(start..start + link.to.len(), &to);
    }
    Ok(new)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(title: &Path, body: &str) -> String {
    let title = escaped(&title.to_string_lossy());
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width\"><style>:root {{ color-scheme: light dark }}</style></head>\n\
         <body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            write(&root.path().join(path), text).unwrap();
        }
        root
    }

    #[test]
    fn chapters_sources_pictures_and_folders_are_laid_as_they_are_linked() {
        let chapter = "[up](../README.md#x), ![p](p.svg), [s](../src/a.rs), [f](../src), [out](https://x.y), [b](b/c.md)\n";
        let root = tree(&[
            ("docs/SUMMARY.md", "# S\n- [R](../README.md)\n- [A](a.md)\n- [C](b/c.md)\n"),
            ("docs/book.toml", "[book]\n"),
            ("docs/a.md", chapter),
            ("docs/b/c.md", "[a](../a.md)\n"),
            ("docs/p.svg", "<svg/>"),
            ("README.md", "<img src=\"docs/p.svg\"> [a](docs/a.md), [book](docs/SUMMARY.md)\n"),
            ("src/a.rs", "a < b\n"),
        ]);
        let to = tempfile::tempdir().unwrap();
        assert_eq!(lay(root.path(), to.path()).unwrap(), 3);
        let read = |path: &str| fs::read_to_string(to.path().join("src").join(path)).unwrap();
        assert_eq!(read("SUMMARY.md"), "# S\n- [R](index.md)\n- [A](docs/a.md)\n- [C](docs/b/c.md)\n");
        let laid = "[up](../index.md#x), ![p](p.svg), [s](../src/a.rs.html), [f](../src/index.html), [out](https://x.y), [b](b/c.md)\n";
        assert_eq!(read("docs/a.md"), laid);
        assert_eq!(read("docs/b/c.md"), "[a](../../docs/a.md)\n");
        assert_eq!(read("index.md"), "<img src=\"docs/p.svg\"> [a](docs/a.md), [book](index.md)\n");
        assert!(
            read("src/a.rs.html").contains("a &lt; b")
                && read("src/index.html").contains("href=\"a.rs.html\"")
        );
        assert_eq!(read("docs/p.svg"), "<svg/>");
    }

    #[test]
    fn a_document_that_is_no_chapter_is_refused() {
        let to = tempfile::tempdir().unwrap();
        let of = |files: &[(&str, &str)]| {
            let root = tree(&[&[("docs/book.toml", "")], files].concat());
            format!("{:#}", lay(root.path(), to.path()).unwrap_err())
        };
        let left_out = of(&[("docs/SUMMARY.md", "[a](a.md)"), ("docs/a.md", ""), ("docs/b.md", "")]);
        assert!(left_out.contains("docs/b.md is no chapter"), "{left_out}");
        let linked = of(&[("docs/SUMMARY.md", "[a](a.md)"), ("docs/a.md", "[o](../O.md)"), ("O.md", "")]);
        assert!(linked.contains("docs/a.md:1: ../O.md"), "{linked}");
        let by_reference = of(&[("docs/SUMMARY.md", "[a](a.md)"), ("docs/a.md", "[o]\n\n[o]: a.md\n")]);
        assert!(by_reference.contains("by reference"), "{by_reference}");
    }
}
