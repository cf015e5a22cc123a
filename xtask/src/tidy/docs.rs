//! The documents a reader is promised are there, their links lead somewhere, and they hold on any machine.

use super::Breach;
use crate::markdown;
use std::fs;
use std::path::Path;

const REQUIRED: [&str; 5] =
    ["CAVEATS.md", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/from-linux.md"];
const ARCHITECTURE_LINES_MAX: usize = 200;

/// Folders of one machine, in halves for this file's own sake.
const MACHINE_FOLDERS: [&str; 4] =
    [concat!("/t", "mp/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/")];

/// The documents that are missing or have grown past a map's size.
pub(super) fn required(root: &Path) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for name in REQUIRED {
        match fs::read_to_string(root.join(name)).map(|text| text.lines().count()) {
            Err(_) => breaches.push(Breach::new(name, 1, "is missing")),
            Ok(lines) if name == "ARCHITECTURE.md" && lines > ARCHITECTURE_LINES_MAX => {
                let what = format!("{lines} lines; the map has at most {ARCHITECTURE_LINES_MAX}");
                breaches.push(Breach::new(name, ARCHITECTURE_LINES_MAX + 1, what));
            }
            Ok(_) => {}
        }
    }
    breaches
}

/// Dead links and paths of one machine in a document; such paths also in the comments of sources and settings.
pub(super) fn check(root: &Path, path: &str, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let is_document = path.ends_with(".md");
    for (number, line) in (1..).zip(text.lines()) {
        let prose = match (is_document, path.rsplit('.').next()) {
            (true, _) => line,
            (_, Some("rs")) => line.find("//").map_or("", |at| &line[at..]),
            (_, Some("toml")) => line.find('#').map_or("", |at| &line[at..]),
            _ => "",
        };
        for folder in MACHINE_FOLDERS.iter().filter(|folder| is_path_in(prose, folder)) {
            breaches.push(Breach::new(path, number, format!("`{folder}` is a path of one machine")));
        }
    }
    if is_document {
        breaches.extend(dead_links(root, path, text));
    }
    breaches
}

/// Whether an absolute path below `folder` is in the line; a URL or a longer path that has it inside is none.
fn is_path_in(line: &str, folder: &str) -> bool {
    line.match_indices(folder)
        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-$}~/".contains(c)))
}

/// Links to files, folders and headings that are not there.
fn dead_links(root: &Path, path: &str, text: &str) -> Vec<Breach> {
    let folder = root.join(path).parent().map(Path::to_path_buf).unwrap_or_default();
    let mut breaches = Vec::new();
    for link in markdown::links(text) {
        let Some((file, anchor)) = link.local() else { continue };
        let target = if file.is_empty() { root.join(path) } else { folder.join(file) };
        let mut breach = |what| breaches.push(Breach::new(path, link.line, what));
        if !file.is_empty() && !target.exists() {
            breach(format!("the link to `{}` leads nowhere", link.to));
        } else if let Some(anchor) = anchor.filter(|_| target.extension().is_some_and(|kind| kind == "md")) {
            let read = if file.is_empty() { Ok(text.to_owned()) } else { fs::read_to_string(&target) };
            let anchors = markdown::anchors(&read.unwrap_or_default());
            if !anchors.iter().any(|there| there == anchor) {
                breach(format!("the link to `{}` leads to no heading", link.to));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("docs")).unwrap();
        fs::write(root.path().join("README.md"), "## At the top\n").unwrap();
        let text = "[up](../README.md#at-the-top), [here](#a), [far](https://x.y/z), [item](crate::a::B)\n\n\
                    ```\n[code](nothing.md)\n```\n[dead](../GONE.md)\n[by name][n]\n\n[n]: none.md\n\n\
                    # A\n[no heading](../README.md#top)\n[nor here](#b)\n\n<img src=\"none.svg\">\n";
        let lines: Vec<usize> =
            check(root.path(), "docs/a.md", text).iter().map(|breach| breach.line).collect();
        assert_eq!(lines, [6, 7, 12, 13, 15]);
    }

    #[test]
    fn paths_of_one_machine_are_refused() {
        let found = |path: &str, text: &str| check(Path::new("nowhere"), path, text).len();
        for folder in MACHINE_FOLDERS {
            assert_eq!(found("a.md", &format!("see `{folder}x`")), 1, "{folder}");
            assert_eq!(found("a.rs", &format!("// see {folder}x")), 1, "{folder}");
            assert_eq!(found("a.rs", &format!("let x = \"{folder}x\";")), 0, "code may");
            assert_eq!(
                found("a.md", &format!("https://x.y{folder}x, target{folder}x")),
                0,
                "a part of a path"
            );
        }
    }

    #[test]
    fn missing_documents_and_a_long_map_are_refused() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(required(root.path()).len(), REQUIRED.len());
        fs::create_dir(root.path().join("docs")).unwrap();
        for name in REQUIRED {
            fs::write(root.path().join(name), "line\n".repeat(200)).unwrap();
        }
        assert_eq!(required(root.path()), []);
        fs::write(root.path().join("ARCHITECTURE.md"), "line\n".repeat(201)).unwrap();
        assert_eq!(required(root.path()).len(), 1);
    }
}
