//! QEMU: its command lines, and how its machines end.

use super::firmware;
use super::newer::{self, Newer, Release};
use super::{Arch, Boot, make_parent};
use crate::sh::Cmd;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::fs::File;
use std::path::Path;
use std::process::ExitStatus;

/// The Debian packages with QEMU and its firmware.
pub(crate) const DEBIAN: [&str; 4] = ["qemu-system-x86", "qemu-system-misc", "qemu-system-arm", "opensbi"];

/// The oldest QEMU that any of this was run with.
const OLDEST: (u32, u32) = (7, 2);

/// The machine's memory.
const MEMORY_MIB: u32 = 256;

/// How QEMU runs the machine's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accel {
    /// A thread for each CPU
    Threads,
    /// One thread for all
    Single,
    /// The host's own CPUs (x86-64 on Linux)
    Kvm,
}

impl Accel {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Single => "single",
            Self::Kvm => "kvm",
        }
    }

    fn args(self) -> &'static str {
        match self {
            Self::Threads => "-accel tcg,thread=multi",
            Self::Single => "-accel tcg,thread=single",
            Self::Kvm => "-accel kvm",
        }
    }
}

impl Arch {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::X86_64 => "qemu-system-x86_64",
            Self::Riscv64 => "qemu-system-riscv64",
            Self::Aarch64 => "qemu-system-aarch64",
            Self::Loongarch64 => "qemu-system-loongarch64",
        }
    }

    fn machine(self) -> &'static str {
        match self {
            Self::X86_64 => {
                "-machine q35 -display none -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=0x04"
            }
            Self::Riscv64 => "-machine virt -display none -serial stdio -bios default",
            Self::Aarch64 => {
                "-machine virt,gic-version=3 -cpu max -display none -serial stdio -semihosting-config enable=on,target=native"
            }
            Self::Loongarch64 => "-machine virt -display none -serial stdio",
        }
    }

    /// The code with which QEMU ends when the kernel says that all went well. On x86-64 a zero is a reset: a triple fault.
    pub(super) fn passing_code(self) -> i32 {
        match self {
            Self::X86_64 => 33,
            Self::Riscv64 | Self::Aarch64 | Self::Loongarch64 => 0,
        }
    }
}

/// How a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With that code.
    Code(i32),
    /// It was ended when its time was up.
    TimedOut,
    /// By a signal that we did not send.
    Signal,
}

impl End {
    /// What `timeout` says of it.
    pub(crate) fn of(status: ExitStatus) -> Self {
        match status.code() {
            Some(124 | 137) => Self::TimedOut,
            Some(code) => Self::Code(code),
            None => Self::Signal,
        }
    }
}

/// A QEMU that was found.
pub(super) struct Qemu {
    program: String,
    version: String,
    /// If it is the one that was unpacked.
    newer: Option<Newer>,
}

impl Qemu {
    pub(super) fn find(boot: &Boot) -> Result<Self> {
        if boot.x2apic && boot.arch != Arch::X86_64 {
            bail!("only x86-64 has an x2APIC");
        }
        if boot.sockets > 1 && (boot.arch != Arch::Riscv64 || !boot.cpus.is_multiple_of(boot.sockets)) {
            bail!("sockets are for riscv64, and each has as many CPUs");
        }
        if release(boot) == Some(Release::Ten) && boot.arch != Arch::X86_64 {
            bail!("QEMU 10 is fetched for x86-64 only: `--qemu 11` has all");
        }
        let newer = release(boot).map(|release| {
            newer::find(release).with_context(|| {
                format!("no QEMU {}: `cargo xtask setup` fetches Debian's", release.number())
            })
        });
        let newer = newer.transpose()?;
        let program = match (&boot.qemu, &newer) {
            (_, Some(newer)) => newer.program(boot.arch),
            (Some(program), None) => program.clone(),
            (None, None) => boot.arch.program().to_owned(),
        };
        let Ok(said) = Cmd::new(&program, "--version").read() else {
            bail!("no {program}: `cargo xtask setup` as root, or `apt-get install {}`", DEBIAN.join(" "));
        };
        let version = said.lines().next().unwrap_or_default().to_owned();
        match number_of(&version) {
            Some(number) if number >= OLDEST => Ok(Self { program, version, newer }),
            _ => bail!("{version}: QEMU {}.{} or newer is needed", OLDEST.0, OLDEST.1),
        }
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Boots the kernel; what it writes to its serial port goes to `log`.
    pub(super) fn boot(&self, boot: &Boot, kernel: &Path, log: &Path) -> Result<End> {
        make_parent(log)?;
        let to = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut words = format!("what={}", boot.what);
        if boot.icount || boot.accel == Some(Accel::Single) {
            words += " shared-core=1";
        }
        if let Some(seconds) = boot.seconds {
            words += &format!(" seconds={seconds}");
        }
        boot.word.iter().for_each(|word| words.extend([" ", word]));
        // `timeout` outlives us, should we be ended.
        let mut cmd = Cmd::new("timeout", &format!("-k 2 {} {}", boot.timeout, self.program));
        cmd = match (boot.icount, boot.accel) {
            (true, _) => cmd.args("-accel tcg,thread=single -icount shift=3,sleep=off"),
            (false, accel) => cmd.args(accel.unwrap_or(Accel::Threads).args()),
        };
        if let Some(newer) = &self.newer {
            cmd = newer.at_home(cmd).args("-nodefaults");
        }
        if boot.arch == Arch::X86_64 {
            cmd = cmd.args(if boot.x2apic { "-cpu qemu64,+x2apic" } else { "-cpu qemu64" });
        }
        let smp = boot.maxcpus.map_or(boot.cpus.to_string(), |most| format!("{},maxcpus={most}", boot.cpus));
        cmd = cmd
            .args(&machine(boot))
            .args(&format!("-smp {smp}{} -m {MEMORY_MIB}M -no-reboot", sockets(boot)));
        if let Some(bios) = &boot.bios {
            cmd = cmd.arg("-bios").arg(firmware::file(bios)?);
        }
        cmd.arg("-kernel").arg(kernel).arg("-append").arg(words).into_file(to).map(End::of)
    }
}

/// Which of those that `setup` unpacks is asked for; a machine with an x2APIC needs one, and so does loongarch64.
fn release(boot: &Boot) -> Option<Release> {
    match &boot.qemu {
        Some(named) => Release::named(named),
        None if boot.x2apic && boot.accel != Some(Accel::Kvm) => Some(Release::Ten),
        // QEMU 7.2 starts all its cores in the kernel.
        None if boot.arch == Arch::Loongarch64 => Some(Release::Eleven),
        None => None,
    }
}

/// Its sockets, each with its share of CPUs and memory.
fn sockets(boot: &Boot) -> String {
    let (all, each) = (boot.sockets, boot.cpus / boot.sockets);
    if all == 1 {
        return String::new();
    }
    let memory = MEMORY_MIB / all;
    let node = |node: u32| {
        let (first, last) = (node * each, (node + 1) * each - 1);
        format!(
            " -object memory-backend-ram,id=memory{node},size={memory}M \
             -numa node,nodeid={node},cpus={first}-{last},memdev=memory{node}"
        )
    };
    format!(",sockets={all}{}", (0..all).map(node).collect::<String>())
}

/// The machine, with what it has besides.
fn machine(boot: &Boot) -> String {
    let machine = boot.arch.machine();
    let Some(further) = &boot.machine else { return machine.to_owned() };
    let (first, rest) =
        machine.strip_prefix("-machine ").and_then(|rest| rest.split_once(' ')).expect("it begins so");
    format!("-machine {first},{further} {rest}")
}

fn number_of(version: &str) -> Option<(u32, u32)> {
    let number =
        version.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let mut parts = number.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let of = |text| number_of(text).unwrap();
        assert!(of("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)") >= OLDEST);
        assert!(of("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)") > OLDEST);
        assert!(of("QEMU emulator version 6.2.0") < OLDEST);
        assert_eq!(number_of("no such thing"), None);
    }
}
