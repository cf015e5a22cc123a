//! QEMUs that are newer than the machine's own, from Debian's newer suites, unpacked beside it: QEMU 10, which emulates the x2APIC (7.2
//! does not), and QEMU 11.

use super::Arch;
use crate::debian::Unpacked;
use crate::sh::Cmd;
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A version that can be had so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// For x86-64 only. Its libraries are those that Debian 12's own QEMU depends on.
    Ten,
    /// For all architectures, with its own libraries.
    Eleven,
}

/// Not `ipxe-qemu`, for network cards, which is not there.
const TEN: Unpacked = Unpacked {
    folder: "qemu-newer",
    suite: "bookworm-backports",
    packages: "qemu-system-x86 qemu-system-common qemu-system-data seabios",
};

/// The second part is what the programs in the first are linked with, directly or not.
const ELEVEN: Unpacked = Unpacked {
    folder: "qemu-11",
    suite: "trixie trixie-backports",
    packages: "qemu-system-x86=1:11.* qemu-system-arm=1:11.* qemu-system-riscv=1:11.* qemu-system-misc=1:11.* \
        qemu-system-common=1:11.* qemu-system-data=1:11.* seabios opensbi \
        libaio1t64 libatomic1 libblkid1 libbpf1 libc6 libcap2 libcapstone5 libdaxctl1 libelf1t64 libfdt1 libffi8 libfuse3-4 \
        libglib2.0-0t64 libgmp10 libgnutls30t64 libhogweed6t64 libibverbs1 libidn2-0 libjpeg62-turbo libkmod2 libmount1 libndctl6 \
        libnettle8t64 libnl-3-200 libnl-route-3-200 libnuma1 libp11-kit0 libpcre2-8-0 libpixman-1-0 libpmem1 libpng16-16t64 \
        librdmacm1t64 libsasl2-2 libseccomp2 libselinux1 libslirp0 libssl3t64 libtasn1-6 libudev1 libunistring5 liburing2 libuuid1 \
        libvdeplug2t64 libzstd1 zlib1g",
};

impl Release {
    pub(crate) const ALL: [Self; 2] = [Self::Ten, Self::Eleven];

    /// The one with that number, as `--qemu` has it.
    pub(crate) fn named(number: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|release| release.number() == number)
    }

    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::Ten => "10",
            Self::Eleven => "11",
        }
    }

    fn unpacked(self) -> Unpacked {
        match self {
            Self::Ten => TEN,
            Self::Eleven => ELEVEN,
        }
    }
}

/// Where it is, if it was fetched.
pub(crate) fn find(release: Release) -> Option<Newer> {
    let newer = Newer { release, root: release.unpacked().root() };
    let archs: &[Arch] = if release == Release::Ten { &[Arch::X86_64] } else { &Arch::ALL };
    archs.iter().all(|arch| Path::new(&newer.program(*arch)).exists()).then_some(newer)
}

/// An unpacked QEMU.
pub(crate) struct Newer {
    release: Release,
    root: PathBuf,
}

impl Newer {
    /// What to run. QEMU 10 is there for x86-64 only.
    pub(crate) fn program(&self, arch: Arch) -> String {
        let folder = match self.release {
            Release::Ten => self.root.join("usr/bin"),
            Release::Eleven => self.root.with_file_name("bin"),
        };
        folder.join(arch.program()).display().to_string()
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

    /// Programs that start QEMU's with the libraries that came with them: they want a newer C library than this machine's.
    fn write_programs(&self) -> Result<()> {
        let folder = self.root.with_file_name("bin");
        // Into place at once, when it is complete.
        let made = folder.with_extension("made");
        let _ = fs::remove_dir_all(&made);
        fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
        for arch in Arch::ALL {
            let file = made.join(arch.program());
            let script = format!(
                "#!/bin/sh\nlib={root}/usr/lib/x86_64-linux-gnu\n\
                 exec \"$lib/ld-linux-x86-64.so.2\" --library-path \"$lib\" {root}/usr/bin/{program} \"$@\"\n",
                root = self.root.display(),
                program = arch.program(),
            );
            fs::write(&file, script).with_context(|| format!("cannot write {}", file.display()))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        let _ = fs::remove_dir_all(&folder);
        fs::rename(&made, &folder).with_context(|| format!("cannot move to {}", folder.display()))
    }
}

/// Fetches and unpacks it, once.
pub(crate) fn fetch(release: Release) -> Result<()> {
    if find(release).is_some() {
        return Ok(());
    }
    let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
    match release {
        Release::Ten if !os.contains("VERSION_CODENAME=bookworm") => {
            bail!("it is fetched for Debian 12 only; `--qemu PROGRAM --x2apic` takes another")
        }
        Release::Ten => release.unpacked().fetch(),
        Release::Eleven => {
            release.unpacked().fetch()?;
            Newer { release, root: release.unpacked().root() }.write_programs()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found_by_their_numbers() {
        for release in Release::ALL {
            assert_eq!(Release::named(release.number()), Some(release));
        }
        assert_eq!(Release::named("9"), None);
        assert_eq!(Release::named("qemu-system-x86_64"), None);
    }
}
