//! A QEMU that emulates the x2APIC (from version 9 on), from Debian's backports, beside the one that is installed.

use crate::debian::Unpacked;
use crate::sh::Cmd;
use anyhow::{Result, bail};
use std::fs;
use std::path::PathBuf;

/// What is needed of it. Not `ipxe-qemu`, for network cards, which is not there.
const QEMU: Unpacked = Unpacked {
    folder: "qemu-newer",
    suite: "bookworm-backports",
    packages: "qemu-system-x86 qemu-system-common qemu-system-data seabios",
};

/// Where it is, if it was fetched.
pub(crate) fn find() -> Option<Newer> {
    let root = QEMU.root();
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
    QEMU.fetch()
}
