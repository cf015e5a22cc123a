//! A QEMU that emulates the x2APIC (from version 9 on), from Debian's backports, beside the one that is installed: unpacked into
//! the target folder. Nothing is installed, and the machine's own lists of packages stay as they are.

use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// What is needed of it. Not `ipxe-qemu`, for network cards, which is not there.
const PACKAGES: &str = "qemu-system-x86 qemu-system-common qemu-system-data seabios";

const SOURCES: &str = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm-backports\nComponents: main\n\
    Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";

/// Where it is, if it was fetched.
pub(crate) fn find() -> Option<Newer> {
    let root = folder().join("root");
    root.join("usr/bin/qemu-system-x86_64").exists().then_some(Newer { root })
}

/// The unpacked QEMU.
pub(crate) struct Newer {
    root: PathBuf,
}

impl Newer {
    pub(crate) fn program(&self) -> String {
        self.root.join("usr/bin/qemu-system-x86_64").display().to_string()
    }

    /// What tells it where its own firmware and modules are.
    pub(crate) fn at_home(&self, cmd: Cmd) -> Cmd {
        let share = self.root.join("usr/share");
        cmd.arg("-L")
            .arg(share.join("qemu"))
            .arg("-L")
            .arg(share.join("seabios"))
            .env("QEMU_MODULE_DIR", self.root.join("usr/lib/x86_64-linux-gnu/qemu"))
    }
}

/// Fetches and unpacks it, once. Its libraries are those that Debian 12's own QEMU depends on.
pub(crate) fn fetch() -> Result<()> {
    if find().is_some() {
        return Ok(());
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if !release.contains("VERSION_CODENAME=bookworm") {
        bail!("it is fetched for Debian 12 only; `--qemu PROGRAM --x2apic` takes another");
    }
    let folder = folder();
    let (lists, debs, root) = (folder.join("lists"), folder.join("debs"), folder.join("root"));
    for made in [lists.join("partial"), folder.join("archives/partial"), debs.clone()] {
        fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
    }
    let sources = folder.join("backports.sources");
    fs::write(&sources, SOURCES)?;
    let apt = |verb: &str| {
        let mut cmd = Cmd::new("apt-get", "-qq").dir(&debs);
        for (name, value) in [
            ("Dir::Etc::sourcelist", sources.display().to_string()),
            ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
            ("Dir::State::lists", lists.display().to_string()),
            ("Dir::Cache::archives", folder.join("archives").display().to_string()),
            ("Dir::Cache::pkgcache", String::new()),
            ("Dir::Cache::srcpkgcache", String::new()),
            ("APT::Sandbox::User", String::new()),
        ] {
            cmd = cmd.arg("-o").arg(format!("{name}={value}"));
        }
        cmd.args(verb)
    };
    apt("update").read()?;
    apt("download").args(PACKAGES).read()?;
    // Into place at once, when it is complete.
    let unpacked = folder.join("unpacked");
    let _ = fs::remove_dir_all(&unpacked);
    for deb in fs::read_dir(&debs)? {
        Cmd::new("dpkg-deb", "-x").arg(deb?.path()).arg(&unpacked).read()?;
    }
    fs::rename(&unpacked, &root).with_context(|| format!("cannot move to {}", root.display()))
}

fn folder() -> PathBuf {
    // Absolute: it is run from other folders too.
    let folder: &Path = &sh::target_dir().join("qemu-newer");
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf())
}
