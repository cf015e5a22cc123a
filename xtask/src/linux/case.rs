//! Boot cases: what people tell a kernel on its command line, and machines that they boot it on.
//!
//! Each names what the log must say for the case to have been one: an unknown word would be ignored.

use super::{Config, Series};
use anyhow::{Result, bail};
use clap::ValueEnum;

/// A way to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Case {
    /// Tasks are preempted as soon as another is to run
    PreemptFull,
    /// … at the next tick, but by real-time tasks at once (7.3)
    PreemptLazy,
    /// … only where the kernel says so (6.12)
    PreemptNone,
    /// CPUs 1 to 3 have no tick, and no callbacks of RCU
    NohzFull,
    /// CPUs 2 and 3 are kept out of the scheduler's domains
    Isolcpus,
    /// CPU 0 alone boots; the others are brought up by init
    LateCpus,
    /// Fewer CPUs are possible than there are
    FewerCpus,
    /// Idle CPUs poll: none is ever rung
    IdlePoll,
    /// The CPUs and their memory are on two nodes
    Numa,
    /// Interrupts go by the x2APIC: of a machine that remaps them, by the newer QEMU that `setup` fetches
    X2apic,
}

/// What a case is made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Setting {
    /// Words of the kernel's command line.
    pub(super) words: &'static str,
    /// Arguments of QEMU, and what is said of its CPUs besides their number.
    pub(super) qemu: String,
    pub(super) smp: &'static str,
    /// Whether the newer QEMU is needed.
    pub(super) newer: bool,
    /// What the log says if it is that case.
    pub(super) says: Vec<String>,
}

impl Case {
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Why there is no such case with that kernel, or with so few CPUs.
    pub(super) fn refused(self, series: Series, config: Config, cpus: u32) -> Result<()> {
        let name = self.name();
        if !config.has_judges() {
            bail!("`--case {name}` wants `--config judges`, or one that is made of it");
        }
        if cpus < 4 {
            bail!("`--case {name}` wants 4 CPUs at least");
        }
        if self == Self::Numa && cpus % 2 == 1 {
            bail!("`--case {name}` shares its CPUs among two nodes: an even number of them");
        }
        match (self, series) {
            (Self::PreemptLazy, Series::L6_12) => bail!("6.12 does not preempt lazily: `--series 7.3`"),
            (Self::PreemptNone, Series::L7_3) => bail!("7.3 preempts on x86 always: `--series 6.12`"),
            _ => Ok(()),
        }
    }

    /// For a guest of so many CPUs.
    pub(super) fn setting(self, cpus: u32, memory_mb: u32) -> Setting {
        let last = cpus - 1;
        let online = |list: &str| format!("smpcall-init: online {list}, ");
        let (words, qemu, says): (_, _, &[String]) = match self {
            Self::PreemptFull => ("preempt=full", String::new(), &["Dynamic Preempt: full".into()]),
            Self::PreemptLazy => ("preempt=lazy", String::new(), &["Dynamic Preempt: lazy".into()]),
            Self::PreemptNone => ("preempt=none", String::new(), &["Dynamic Preempt: none".into()]),
            Self::NohzFull => ("nohz_full=1-3 rcu_nocbs=1-3", String::new(), &["nohz_full 1-3".into()]),
            Self::Isolcpus => ("isolcpus=domain,managed_irq,2-3", String::new(), &["isolated 2-3, ".into()]),
            Self::LateCpus => (
                "maxcpus=1 smpcall.late=1",
                String::new(),
                &[online("0"), format!("smpcall-init: brought up {last}\n")],
            ),
            Self::FewerCpus => ("nr_cpus=3", String::new(), &[online("0-2")]),
            Self::IdlePoll => ("idle=poll", String::new(), &["using polling idle threads".into()]),
            Self::Numa => ("", nodes(cpus, memory_mb), &[format!("Brought up 2 nodes, {cpus} CPUs")]),
            Self::X2apic => {
                ("", REMAPS.to_owned(), &["DMAR-IR: Enabled IRQ remapping in x2apic mode".into()])
            }
        };
        // CPUs that share a cache are of one node.
        let smp = if self == Self::Numa { ",sockets=2" } else { "" };
        Setting { words, qemu, smp, newer: self == Self::X2apic, says: says.to_vec() }
    }
}

/// A machine that remaps interrupts to CPUs of any number: without that Linux takes no x2APIC, unless a hypervisor vouches for it.
const REMAPS: &str = "-machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,eim=on";

/// Half of the CPUs and half of the memory on each of two nodes.
fn nodes(cpus: u32, memory_mb: u32) -> String {
    let (half, last) = (cpus / 2, cpus - 1);
    let mut args = String::new();
    for (node, first, last) in [(0, 0, half - 1), (1, half, last)] {
        let size = memory_mb / 2;
        args += &format!(
            "-object memory-backend-ram,id=m{node},size={size}M -numa node,nodeid={node},cpus={first}-{last},memdev=m{node} "
        );
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_says_how_it_is_told_from_a_boot_without_it() {
        for case in Case::value_variants() {
            let setting = case.setting(4, 768);
            assert!(!setting.says.is_empty(), "{case:?}");
            let told = !setting.words.is_empty() || !setting.qemu.is_empty();
            assert!(told, "{case:?}");
            assert!(case.refused(Series::L7_3, Config::Plain, 4).is_err());
            assert!(case.refused(Series::L7_3, Config::Judges, 3).is_err());
        }
        assert_eq!(Case::LateCpus.name(), "late-cpus");
        assert!(Case::PreemptLazy.refused(Series::L6_12, Config::Judges, 4).is_err());
        assert!(Case::PreemptNone.refused(Series::L7_3, Config::Judges, 4).is_err());
        assert!(Case::Numa.refused(Series::L7_3, Config::Judges, 5).is_err());
        Case::PreemptFull.refused(Series::L6_12, Config::Judges, 4).unwrap();
    }

    #[test]
    fn the_nodes_share_what_there_is() {
        let args = nodes(5, 768);
        assert!(args.contains("cpus=0-1,") && args.contains("cpus=2-4,"), "{args}");
        assert_eq!(args.matches("size=384M").count(), 2);
    }
}
