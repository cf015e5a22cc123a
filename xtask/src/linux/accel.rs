//! How QEMU runs the guest's CPUs.

use super::Case;
use crate::kvm;
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;

/// Who runs the guest's CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accel {
    /// Emulated, by a thread for each
    Threads,
    /// Emulated, by one thread that takes them in turn
    Single,
    /// The host's own, by KVM, to whose guests Linux's IPIs are one hypercall for all that are called
    Kvm,
    /// One thread, in virtual time that counts instructions
    #[value(skip)]
    Icount,
}

impl Accel {
    /// Arguments of QEMU.
    pub(super) fn args(self) -> &'static str {
        match self {
            Self::Threads => "-accel tcg,thread=multi -cpu max",
            Self::Single => "-accel tcg,thread=single -cpu max",
            Self::Kvm => "-accel kvm -cpu host",
            // Nothing of the host's comes in: neither its clock nor its random numbers.
            Self::Icount => {
                "-accel tcg,thread=single -icount shift=3,sleep=off -cpu max,rdrand=off,rdseed=off \
                 -rtc base=2026-01-01T00:00:00,clock=vm"
            }
        }
    }

    /// What the log of such a guest says.
    pub(super) fn says(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["kvm-guest: setup PV IPIs"],
            Self::Threads | Self::Single | Self::Icount => &[],
        }
    }

    /// Of how many of the host's CPUs a guest can make use.
    pub(super) fn threads(self, host: usize) -> usize {
        if matches!(self, Self::Single | Self::Icount) { 1 } else { host }
    }

    /// Why no guest is run so, before anything is built.
    pub(super) fn refused(self, case: Option<Case>) -> Result<()> {
        if self != Self::Kvm {
            return Ok(());
        }
        ensure!(case != Some(Case::X2apic), "a guest of KVM's has the x2APIC anyway: without `--case`");
        match kvm::missing() {
            Some(why) => bail!("no KVM here: {why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_of_kvms_is_asked_for_once() {
        let why = Accel::Kvm.refused(Some(Case::X2apic)).unwrap_err().to_string();
        assert!(why.contains("anyway"), "{why}");
        Accel::Single.refused(Some(Case::X2apic)).unwrap();
    }

    #[test]
    fn one_thread_is_one_of_the_hosts_cpus() {
        assert_eq!([Accel::Threads, Accel::Single].map(|accel| accel.threads(8)), [8, 1]);
    }
}
