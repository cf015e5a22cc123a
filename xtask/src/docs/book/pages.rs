//! The links of pages: to pages and files that are there, and to anchors that they have.

use crate::markdown;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Made by mdBook for servers, with links from a root that only a server has.
const FOR_SERVERS: &str = "404.html";

/// Checks all pages below `folder`; how many there are, and how many links.
pub(super) fn check(folder: &Path) -> Result<(usize, usize)> {
    let mut pages = BTreeMap::new();
    read(folder, &mut pages)?;
    let anchors: BTreeMap<&PathBuf, BTreeSet<String>> =
        pages.iter().map(|(path, html)| (path, anchors(html))).collect();
    let (mut links, mut dead) = (0, 0);
    for (path, html) in &pages {
        let here = path.parent().context("a page in no folder")?;
        for link in markdown::html_links(html).map(unescaped) {
            if link.contains(':') || link.is_empty() {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { Ok(path.clone()) } else { fs::canonicalize(here.join(file)) };
            let leads = match target {
                Err(_) => false,
                Ok(target) => {
                    anchor.is_empty() || anchors.get(&target).is_none_or(|there| there.contains(anchor))
                }
            };
            if !leads {
                let page = path.strip_prefix(folder).unwrap_or(path);
                println!("{}: the link to `{link}` leads nowhere", page.display());
                dead += 1;
            }
        }
    }
    match dead {
        0 => Ok((pages.len(), links)),
        dead => bail!("{dead} links of the book's pages lead nowhere"),
    }
}

fn read(folder: &Path, pages: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, pages)?;
        } else if path.extension().is_some_and(|kind| kind == "html") && !path.ends_with(FOR_SERVERS) {
            pages.insert(fs::canonicalize(&path)?, fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn anchors(html: &str) -> BTreeSet<String> {
    markdown::attributes(html, " id=\"").map(unescaped).collect()
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_of_pages_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let of = |link: &str| {
            fs::create_dir_all(folder.path().join("sub")).unwrap();
            fs::write(folder.path().join("sub/b.html"), "<h1 id=\"top&amp;more\">").unwrap();
            fs::write(folder.path().join("a.html"), format!("<p id=\"here\"><a href=\"{link}\">")).unwrap();
            check(folder.path())
        };
        for good in ["sub/b.html", "sub/b.html#top&amp;more", "#here", "sub"] {
            assert_eq!(of(good).unwrap(), (2, 1), "{good}");
        }
        assert_eq!(of("https://x.y").unwrap(), (2, 0));
        for bad in ["c.html", "sub/b.html#here", "#there", "b.html"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
