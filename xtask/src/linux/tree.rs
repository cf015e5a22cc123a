//! Debian's Linux sources, configured and built: the stock kernel, and beside it ours.

use super::config::{self, Config};
use super::{Series, Variant, layer, series};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A kernel that is built.
pub(super) struct Tree {
    pub(super) series: Series,
    pub(super) variant: Variant,
    pub(super) path: PathBuf,
}

/// Why nothing can be built.
pub(super) fn missing() -> Option<String> {
    ["make", "gcc", "flex", "bison", "bc", "xz"].into_iter().find(|program| !has(program)).map(|program| {
        format!("no {program}: `cargo xtask setup` as root, or `apt-get install {}`", super::DEBIAN.join(" "))
    })
}

fn has(program: &str) -> bool {
    Cmd::new(program, "--version").capture().is_ok()
}

impl Tree {
    /// Builds a kernel: from the package if it is the first, else what has changed.
    pub(super) fn build(series: Series, variant: Variant, config: Config) -> Result<Self> {
        let version = series.package_version()?;
        let path = folder(&version, config).join(variant.name());
        let tree = Self { series, variant, path };
        let stamp = format!("{version}\n{}\n", config::fragment(series, config)?.join("\n"));
        if fs::read_to_string(tree.path.join("smpcall.stamp")).ok().as_deref() != Some(&stamp) {
            tree.prepare(&version, config)?;
            fs::write(tree.path.join("smpcall.stamp"), stamp)?;
        }
        if variant == Variant::Ours {
            phase("our call layer", || layer::put_in(series, &tree.path, &sh::root()))?;
        }
        let text = fs::read_to_string(tree.path.join(".config")).context("the kernel is not configured")?;
        config::demand(&text, &config::fragment(series, config)?)?;
        phase(&format!("Linux {version}, {}, {}", config.name(), variant.name()), || {
            let modules = if config.has_judges() { "modules" } else { "modules_prepare" };
            tree.make(&format!("-j{} bzImage {modules}", jobs()), "build.log")
        })?;
        // Who builds the kernel's own modules has made a whole table of symbols, and removed the image's.
        if !config.has_judges() {
            fs::copy(tree.path.join("vmlinux.symvers"), tree.path.join("Module.symvers"))
                .context("no symbols for modules")?;
        }
        Ok(tree)
    }

    /// A module of Linux's own.
    pub(super) fn module(&self, path: &str) -> Result<PathBuf> {
        let module = self.path.join(path);
        if !module.exists() {
            bail!("no {path} was built: only configurations with judges have it (`--config judges`)");
        }
        Ok(module)
    }

    pub(super) fn image(&self) -> PathBuf {
        self.path.join("arch/x86/boot/bzImage")
    }

    /// Where what belongs to both kernels of a configuration is.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// A fresh source tree, configured. If there is the other kernel, built, it is begun from that: most of it is the same.
    fn prepare(&self, version: &str, config: Config) -> Result<()> {
        let _ = fs::remove_dir_all(&self.path);
        fs::create_dir_all(self.folder())?;
        let (other, what) = match self.variant {
            Variant::Ours => (Variant::Stock, "a copy of the stock tree"),
            Variant::Stock => (Variant::Ours, "a copy of our tree, with what was changed put back"),
        };
        let other = folder(version, config).join(other.name());
        if other.join("vmlinux").exists() {
            return phase(what, || {
                Cmd::new("cp", "-a").arg(&other).arg(&self.path).read()?;
                moved(&self.path.join("tools/objtool"), &other, &self.path)?;
                if self.variant == Variant::Stock { layer::take_out(&self.path) } else { Ok(()) }
            });
        }
        phase("unpacking", || {
            fs::create_dir_all(&self.path)?;
            Cmd::new("tar", "--strip-components=1 -xJf")
                .arg(self.series.sources())
                .arg("-C")
                .arg(&self.path)
                .read()
        })?;
        self.demand_series()?;
        phase("configuring", || {
            let lines = self.path.join("smpcall.config");
            fs::write(&lines, config::fragment(self.series, config)?.join("\n") + "\n")?;
            self.make("tinyconfig", "config.log")?;
            let merge = self.path.join("scripts/kconfig/merge_config.sh");
            Cmd::new(&merge, "-m .config").arg(&lines).dir(&self.path).read()?;
            self.make("olddefconfig", "config.log")
        })
    }

    /// Nothing is cut out of a kernel that the cut was not made for.
    fn demand_series(&self) -> Result<()> {
        let makefile =
            fs::read_to_string(self.path.join("Makefile")).context("no Makefile in the sources")?;
        if series::of_makefile(&makefile) != Some(self.series.version()) {
            let found = series::of_makefile(&makefile);
            bail!("{} is Linux {found:?}, and not {}", self.series.sources().display(), self.series.name());
        }
        Ok(())
    }

    /// Runs make in the tree; what it says is in a log, whose end is shown if it fails.
    pub(super) fn make(&self, what: &str, log: &str) -> Result<()> {
        let log = self.folder().join(format!("{}-{log}", self.variant.name()));
        let status = Cmd::new("make", what)
            .untied()
            .env("KBUILD_BUILD_TIMESTAMP", "1970-01-01")
            .dir(&self.path)
            .into_file(File::create(&log)?)?;
        if !status.success() {
            let text = fs::read_to_string(&log).unwrap_or_default();
            sh::show_tail(&text);
            bail!("make {what} failed; all that it said is in {}", log.display());
        }
        Ok(())
    }
}

/// Has the commands that a tool was built by name where its copy is. Else make would build the tool anew, and with it whatever the tool has looked
/// at: of Linux's tools objtool is named by its whole path, and looks at nearly every object.
fn moved(tool: &Path, from: &Path, to: &Path) -> Result<()> {
    let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
    let mut folders = vec![tool.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "cmd") {
                let text = fs::read_to_string(&path)?;
                if text.contains(&*from) {
                    fs::write(&path, text.replace(&*from, &to))?;
                }
            }
        }
    }
    Ok(())
}

fn folder(version: &str, config: Config) -> PathBuf {
    let at = sh::target_dir().join("linux").join(format!("{version}-{}", config.name()));
    std::path::absolute(&at).unwrap_or(at)
}

pub(super) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Says what is being done, and how long it took.
pub(super) fn phase<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("  {what} …");
    let start = Instant::now();
    let done = work().with_context(|| what.to_owned())?;
    println!("  {what}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_tool_counts_as_built_where_it_is() {
        let tool = tempfile::tempdir().unwrap();
        let deeper = tool.path().join("arch/x86");
        fs::create_dir_all(&deeper).unwrap();
        let (built, source) = (deeper.join(".decode.o.cmd"), tool.path().join("check.c"));
        fs::write(&built, "cmd_/x/stock/decode.o := gcc -I/x/stock/include\n").unwrap();
        fs::write(&source, "/x/stock").unwrap();
        moved(tool.path(), Path::new("/x/stock"), Path::new("/x/ours")).unwrap();
        assert_eq!(fs::read_to_string(built).unwrap(), "cmd_/x/ours/decode.o := gcc -I/x/ours/include\n");
        assert_eq!(fs::read_to_string(source).unwrap(), "/x/stock", "only commands are changed");
        assert!(moved(&tool.path().join("none"), Path::new("/x"), Path::new("/y")).is_err());
    }
}
