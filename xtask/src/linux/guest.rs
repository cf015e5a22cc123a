//! The guest: a first file system of one busybox and our modules, and QEMU.

use super::accel::Accel;
use super::case::{Case, Setting};
use super::tree::{Tree, jobs, phase};
use crate::boot::{Arch, End, Release, find_newer};
use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const QEMU: &str = "qemu-system-x86_64";
const BUSYBOX: &str = "/bin/busybox";
const NO_NEWER: &str = "no QEMU that emulates the x2APIC: `cargo xtask setup` fetches one";

/// One run.
pub(super) struct Guest<'a> {
    pub(super) tree: &'a Tree,
    pub(super) cpus: u32,
    /// What `linux/init` is to do.
    pub(super) what: &'a str,
    /// Further words of the kernel's command line.
    pub(super) words: &'a str,
    /// How long it works when all is well; it is given more.
    pub(super) seconds: u32,
    pub(super) accel: Accel,
    /// How it is booted, if not just so.
    pub(super) case: Option<Case>,
    /// What else is in its first file system: where a file or a folder is, and where it is there.
    pub(super) files: Vec<(PathBuf, &'static str)>,
}

/// After how long the guest takes a CPU for locked up: Linux's 10 s (a soft lockup is twice that), as many times as its CPUs share one of
/// the host's. Linux takes 60 at most.
fn watchdog_seconds(cpus: u32, host: usize) -> u32 {
    let sharing = cpus.div_ceil(u32::try_from(host).unwrap_or(u32::MAX).max(1));
    (10 * sharing).min(60)
}

/// Of a guest that came not so far as init: what KVM said of it, or what it said last itself.
fn not_kvms(log: &str) -> Option<&str> {
    let begun = log.contains("smpcall-init: Linux ");
    let mut own = log.lines().filter(|line| !line.trim().is_empty() && !line.contains("qemu-system-"));
    let kvms = log.lines().find(|line| line.starts_with("KVM internal error"));
    (!begun).then(|| kvms.or_else(|| own.next_back()).unwrap_or("it says nothing").trim())
}

/// Why nothing can be booted.
pub(super) fn missing() -> Option<String> {
    if Cmd::new(QEMU, "--version").read().is_err() {
        return Some(format!("no {QEMU}: `cargo xtask setup` as root"));
    }
    (!Path::new(BUSYBOX).exists() || Cmd::new("cpio", "--version").read().is_err())
        .then(|| "no busybox, or no cpio: `cargo xtask setup` as root".to_owned())
}

impl Guest<'_> {
    /// Boots it, and returns what it wrote to its console, which is also kept.
    pub(super) fn boot(&self) -> Result<String> {
        let files = self.first_file_system()?;
        let log = self.log_path();
        let limit = self.limit();
        let memory = self.memory_mb();
        let setting = self.case.map(|case| self.setting(case)).unwrap_or_default();
        let status = self
            .qemu(limit, setting.newer)?
            .args(&format!(
                "-m {memory} -nographic -no-reboot -smp {}{} {}",
                self.cpus, setting.smp, setting.qemu
            ))
            .arg("-kernel")
            .arg(self.tree.image())
            .arg("-initrd")
            .arg(files)
            .arg("-append")
            .arg(self.command_line(setting.words))
            .into_file(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?)?;
        println!("  log: {}", sh::shown(&log));
        let text = self.log()?;
        if self.accel == Accel::Kvm
            && let Some(why) = not_kvms(&text)
        {
            bail!("KVM here does not run this guest: {why}");
        }
        let last = || text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").to_owned();
        match End::of(status) {
            End::Code(0) => Ok(text),
            End::TimedOut => bail!("the guest hangs; the last that it said: {}", last()),
            end => bail!("QEMU ended with {end:?}; the last that the guest said: {}", last()),
        }
    }

    pub(super) fn setting(&self, case: Case) -> Setting {
        case.setting(self.cpus, self.memory_mb())
    }

    /// What the last such run wrote to its console, however it ended.
    pub(super) fn log(&self) -> Result<String> {
        let path = self.log_path();
        let text = fs::read(&path).with_context(|| format!("no log {}", path.display()))?;
        Ok(String::from_utf8_lossy(&text).replace('\r', ""))
    }

    /// A log of its own for each judge and each way to boot, so that a table's logs are there together.
    fn log_path(&self) -> PathBuf {
        let case = self.case.map(|case| format!("-{}", case.name())).unwrap_or_default();
        let judge = self.words.split(' ').find_map(|word| word.strip_prefix("smpcall.judge="));
        let (variant, what) = (self.tree.variant.name(), judge.unwrap_or(self.what));
        let name = format!("{variant}-{what}-{}cpus{case}-{:?}.log", self.cpus, self.accel);
        self.tree.folder().join(name.to_lowercase())
    }

    /// QEMU, with what runs the CPUs; the newer one if the case wants it.
    fn qemu(&self, limit: u32, newer: bool) -> Result<Cmd> {
        let newer = if newer { Some(find_newer(Release::Ten).context(NO_NEWER)?) } else { None };
        let program = newer.as_ref().map_or_else(|| QEMU.to_owned(), |newer| newer.program(Arch::X86_64));
        println!("  {}", Cmd::new(&program, "--version").read()?.lines().next().unwrap_or_default());
        // `timeout` outlives us, should we be ended.
        let cmd = Cmd::new("timeout", &format!("-k 2 {limit}")).arg(program).args(self.accel.args());
        Ok(match newer {
            Some(newer) => newer.at_home(cmd),
            None => cmd,
        })
    }

    /// How many seconds the guest gives a CPU before it counts as locked up.
    fn watchdog_seconds(&self) -> u32 {
        watchdog_seconds(self.cpus, self.accel.threads(jobs()))
    }

    fn command_line(&self, case: &str) -> String {
        let watchdog = self.watchdog_seconds();
        // RCU's own patience is twice that of the soft lockups' detector, as by default.
        let stall = 21.max(watchdog * 4);
        format!(
            "console=ttyS0 panic=-1 scftorture.holdoff=100000 watchdog_thresh={watchdog} \
             rcupdate.rcu_cpu_stall_timeout={stall} smpcall.do={} {case} {}",
            self.what, self.words
        )
    }

    /// What it may take in all: its work twice, and its boot, which is short where nothing is emulated.
    fn limit(&self) -> u32 {
        let boot = if self.accel == Accel::Kvm { 60 } else { 12 * self.watchdog_seconds() };
        self.seconds * 2 + boot
    }

    /// Many CPUs want some each.
    fn memory_mb(&self) -> u32 {
        768 + 8 * self.cpus.saturating_sub(16)
    }

    fn first_file_system(&self) -> Result<PathBuf> {
        let root = self.tree.folder().join(format!("root-{}", self.tree.variant.name()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("bin"))?;
        fs::copy(BUSYBOX, root.join("bin/busybox"))?;
        fs::copy(sh::root().join("linux/init"), root.join("init"))?;
        let module = match self.what {
            "bench" => Some("smpcall_bench.ko"),
            "boot" | "scf" | "user" | "torture" | "stress" | "selftests" => None,
            _ => Some("smpcall_checks.ko"),
        };
        if let Some(module) = module {
            fs::copy(self.modules()?.join(module), root.join(module))?;
        }
        for (from, to) in &self.files {
            Cmd::new("cp", "-aL").arg(from).arg(root.join(to)).read()?;
        }
        let archive = self.tree.folder().join(format!("root-{}.cpio", self.tree.variant.name()));
        let pack = format!("find . | cpio --quiet -o -H newc > '{}'", archive.display());
        Cmd::new("sh", "-c").arg(pack).dir(&root).read()?;
        Ok(archive)
    }

    /// The modules, built for this kernel.
    fn modules(&self) -> Result<PathBuf> {
        let folder = self.tree.folder().join(format!("modules-{}", self.tree.variant.name()));
        fs::create_dir_all(&folder)?;
        for file in fs::read_dir(sh::root().join("linux/modules"))? {
            let file = file?;
            fs::copy(file.path(), folder.join(file.file_name()))?;
        }
        phase("modules", || {
            self.tree.make(&format!("M={} modules", folder.display()), "modules.log")?;
            Ok(folder.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_of_more_cpus_than_the_host_has_is_given_more_time() {
        assert_eq!([watchdog_seconds(2, 4), watchdog_seconds(4, 2), watchdog_seconds(20, 2)], [10, 20, 60]);
        assert_eq!(watchdog_seconds(64, 0), 60);
    }

    #[test]
    fn a_guest_that_kvm_does_not_run_is_told_from_one_that_fails() {
        let internal = "[    0.1] Linux version\nKVM internal error. Suberror: 1\nextra data[0]: 0x1\n";
        assert_eq!(not_kvms(internal), Some("KVM internal error. Suberror: 1"));
        assert_eq!(not_kvms("Linux version\n[ 0.2] x2apic enabled\n\n"), Some("[ 0.2] x2apic enabled"));
        assert_eq!(
            not_kvms("Booting from ROM...\n\u{1b}cqemu-system-x86_64: terminating on signal 15\n"),
            Some("Booting from ROM...")
        );
        assert_eq!(not_kvms(""), Some("it says nothing"));
        assert_eq!(not_kvms("smpcall-init: Linux 7.3, 4 CPUs\nBUG: x\n"), None);
    }
}
