//! Files that are written whole or not at all: beside their place, and then renamed into it. Whoever ends the command
//! before finds what was there before.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::fs::{self, File, Metadata, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a file that was not there before may be used for, less the process's mask.
const NEW_MODE: u32 = 0o666;

/// A file that the results are written to at the end. Whether that can be done is found out at the start, so that a path
/// which cannot be written is an error then, and not after the run; nothing is made there before the results are.
pub(crate) struct JsonFile {
    path: PathBuf,
    to: To,
}

#[derive(Serialize)]
struct Versioned<'a, T: Serialize> {
    schema: &'static str,
    #[serde(flatten)]
    results: &'a T,
}

enum To {
    /// A pipe, a terminal, a device: they are written as they are.
    Stream(File),
    /// A regular file, or none yet: its folder, and the name behind all links.
    Place(Folder, PathBuf),
}

impl JsonFile {
    /// Finds out whether the file can be written, if one was asked for.
    pub(crate) fn open(path: Option<&Path>) -> Result<Option<Self>> {
        let Some(path) = path else { return Ok(None) };
        let to = To::find(path).with_context(|| complaint(path))?;
        Ok(Some(Self { path: path.to_owned(), to }))
    }

    /// Replaces what the file holds by results, which say what they are: a name, and a version, as docs/command.md has them. The version
    /// counts up when a field goes, or means something else. A new field changes nothing.
    pub(crate) fn write_results(self, schema: &'static str, results: &impl Serialize) -> Result<()> {
        self.write(&Versioned { schema, results })
    }

    /// Replaces what the file holds.
    pub(crate) fn write(self, contents: &impl Serialize) -> Result<()> {
        self.write_text(serde_json::to_string_pretty(contents)?)
    }

    /// The same without line breaks: for what only programs read.
    pub(crate) fn write_compact(self, results: &impl Serialize) -> Result<()> {
        self.write_text(serde_json::to_string(results)?)
    }

    /// Replaces what the file holds by a text, and ends its last line.
    pub(crate) fn write_text(self, mut text: String) -> Result<()> {
        text.push('\n');
        let written = match self.to {
            To::Stream(mut file) => file.write_all(text.as_bytes()).map_err(Into::into),
            To::Place(folder, place) => folder.replace(&place, text.as_bytes()),
        };
        written.with_context(|| complaint(&self.path))
    }
}

fn complaint(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

impl To {
    fn find(path: &Path) -> Result<Self> {
        // What is under these names may be a regular file to which others write as well: standard output, for one.
        let is_device = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
        let place = match fs::metadata(path) {
            Ok(meta) => {
                // Without `truncate`: what it holds stays until it is replaced. A folder is refused here.
                let file = File::options().write(true).open(path)?;
                if is_device || !meta.is_file() {
                    return Ok(Self::Stream(file));
                }
                fs::canonicalize(path)?
            }
            // A link to a file that is not there, or no file.
            Err(_) => fs::read_link(path).map_or_else(|_| path.to_owned(), |to| beside(path).join(to)),
        };
        ensure!(place.file_name().is_some(), "this is not the name of a file");
        Ok(Self::Place(Folder::open(&beside(&place))?, place))
    }
}

/// The folder that a file is in.
fn beside(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A folder in which files can be made.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes a file in it that has no name, to see whether that can be done.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        tempfile::tempfile_in(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Writes a file beside its place, and then renames it into it.
    pub(crate) fn replace(&self, place: &Path, contents: &[u8]) -> Result<()> {
        let before = fs::metadata(place).as_ref().map(Metadata::permissions).ok();
        let new = Permissions::from_mode(NEW_MODE);
        let mut file = tempfile::Builder::new().prefix(".smpcall-").permissions(new).tempfile_in(&self.0)?;
        file.write_all(contents)?;
        if let Some(before) = before {
            file.as_file().set_permissions(before)?;
        }
        file.persist(place)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_made_before_the_results_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let file = JsonFile::open(Some(&path)).unwrap().unwrap();
        assert_eq!(names(folder.path()), [] as [PathBuf; 0]);
        file.write(&7).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "7\n");
        assert_eq!(names(folder.path()), [path]);
    }

    #[test]
    fn what_was_there_stays_until_it_is_replaced_and_so_do_its_mode_and_links_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("results.json"), folder.path().join("link.json"));
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("results.json", &link).unwrap();
        let file = JsonFile::open(Some(&link)).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        file.write_compact(&[1, 2]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "[1,2]\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(folder.path()), [link, path]);
    }

    #[test]
    fn a_link_to_nothing_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink("results.json", &link).unwrap();
        JsonFile::open(Some(&link)).unwrap().unwrap().write(&7).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("results.json")).unwrap(), "7\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_device_is_written_as_it_is_and_its_error_is_told() {
        let error = JsonFile::open(Some(Path::new("/dev/full"))).unwrap().unwrap().write(&7).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write /dev/full: "), "{error:#}");
    }

    #[test]
    fn a_folder_and_a_file_in_no_folder_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("none/file.json"), PathBuf::from("/")] {
            assert!(JsonFile::open(Some(&path)).is_err(), "{}", path.display());
        }
    }
}
