//! Where a machine's own threads run, and what was found out about the cores when it was built.

use crate::allowance::Allowance;
use std::collections::BTreeMap;
use std::fmt;

/// Where a machine's own threads run, and what was found when it was built: one line, if it is displayed.
///
/// Masks, cpusets and quotas may change later. Who waits does not rely on this: it looks where it and its target run.
///
/// ```
/// use smpcall_host::Machine;
///
/// let machine = Machine::builder().owned(2).build()?;
/// // "2 CPUs on cores 0-1, of 4 that the process may use", for one; and what may make it slow.
/// let placement = machine.placement();
/// eprintln!("{placement}");
/// assert!(placement.core_of(0).is_none_or(|core| placement.process_cores().contains(&core)));
/// assert_ne!(placement.quota_millis(), Some(0)); // of a cgroup, if there is one
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Placement {
    /// By CPU that the machine owns.
    pub(super) cores: Vec<Option<usize>>,
    pub(super) allowance: Allowance,
    /// The mask of the thread that built the machine.
    pub(super) builders: Vec<usize>,
    pub(super) refused: Vec<PlacementWarning>,
}

/// What may make a machine slower than it could be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlacementWarning {
    /// The system does not say which cores the process may use: nothing was pinned.
    CoresUnknown,
    /// The kernel refused to keep a CPU on its core of [`Cores::Spread`](crate::Cores::Spread): it runs wherever the scheduler
    /// runs it.
    NotKept {
        /// The CPU.
        cpu: u32,
        /// The core.
        core: usize,
        /// What the kernel said.
        error: String,
    },
    /// CPUs that are kept on the same core.
    SharedCore {
        /// The core.
        core: usize,
        /// How many CPUs.
        cpus: usize,
    },
    /// As many CPUs as the process may use cores, or more: threads that only call have none to themselves.
    NoCoreLeft {
        /// How many CPUs.
        cpus: usize,
        /// How many cores.
        cores: usize,
    },
    /// The process' cgroup grants it less time than the machine's CPUs could use.
    Quota {
        /// In thousandths of one core's time.
        millis: u64,
        /// How many CPUs.
        cpus: usize,
    },
    /// The thread that built the machine may not use all cores that the process may. The machine's own threads do not
    /// inherit that.
    BuilderKept {
        /// The cores that it may use.
        on: Vec<usize>,
    },
}

impl Placement {
    /// Returns the core that one of the machine's own CPUs was kept on; `None` if it runs wherever the scheduler runs it.
    ///
    /// Example: [`Placement`].
    pub fn core_of(&self, cpu: u32) -> Option<usize> {
        *self.cores.get(cpu as usize)?
    }

    /// Returns the cores that the process might use when the machine was built, as [`process_cores`](crate::process_cores).
    ///
    /// Example: [`Placement`].
    pub fn process_cores(&self) -> &[usize] {
        &self.allowance.cores
    }

    /// Returns how much time the process' cgroup granted to all its threads together, in thousandths of one core's; `None` if
    /// all there is.
    ///
    /// Example: [`Placement`].
    pub fn quota_millis(&self) -> Option<u64> {
        self.allowance.quota_millis
    }

    /// Returns what may make the machine slower than it could be.
    ///
    /// ```
    /// use smpcall_host::{Cores, Machine};
    ///
    /// let machine = Machine::builder().owned(2).cores(Cores::Unpinned).build()?;
    /// for warning in machine.placement().warnings() {
    ///     eprintln!("{warning}"); // a core that is shared, a quota
    /// }
    /// assert_eq!(machine.placement().core_of(0), None); // wherever the scheduler runs it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn warnings(&self) -> Vec<PlacementWarning> {
        let (cpus, cores) = (self.cores.len(), self.allowance.cores.len());
        let mut warnings = self.refused.clone();
        if cores == 0 {
            warnings.push(PlacementWarning::CoresUnknown);
        }
        let mut on = BTreeMap::new();
        for core in self.cores.iter().flatten() {
            *on.entry(*core).or_insert(0) += 1;
        }
        let shared = on.into_iter().filter(|(_, cpus)| *cpus > 1);
        warnings.extend(shared.map(|(core, cpus)| PlacementWarning::SharedCore { core, cpus }));
        if cpus > 0 && cpus >= cores && cores > 0 {
            warnings.push(PlacementWarning::NoCoreLeft { cpus, cores });
        }
        let needed = 1_000 * cpus.max(1) as u64;
        if let Some(millis) = self.allowance.quota_millis.filter(|&millis| millis < needed) {
            warnings.push(PlacementWarning::Quota { millis, cpus });
        }
        if !self.builders.is_empty() && self.allowance.cores.iter().any(|core| !self.builders.contains(core))
        {
            warnings.push(PlacementWarning::BuilderKept { on: self.builders.clone() });
        }
        warnings
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cpus, kept) = (self.cores.len(), self.cores.iter().flatten());
        let mut on: Vec<usize> = kept.copied().collect();
        on.sort_unstable();
        on.dedup();
        match cpus {
            0 => f.write_str("no CPUs of its own")?,
            _ => write!(f, "{}", Number(cpus, "CPU"))?,
        }
        match (cpus, on.len()) {
            (0, _) => f.write_str("; ")?,
            (_, 0) => f.write_str(" wherever the scheduler runs them, ")?,
            (_, 1) => write!(f, " on core {}, of ", on[0])?,
            _ => write!(f, " on cores {}, of ", Ranges(&on))?,
        }
        match self.allowance.cores.len() {
            0 => f.write_str("an unknown number that the process may use")?,
            1 => f.write_str("1 core that the process may use")?,
            cores => write!(f, "{cores} cores that the process may use")?,
        }
        self.warnings().iter().try_for_each(|warning| write!(f, "; {warning}"))
    }
}

impl fmt::Display for PlacementWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CoresUnknown => f.write_str("the system does not say which cores the process may use"),
            Self::NotKept { cpu, core, error } => {
                write!(f, "CPU {cpu} could not be kept on core {core}: {error}")
            }
            Self::SharedCore { core, cpus } => write!(f, "{cpus} CPUs share core {core}"),
            Self::NoCoreLeft { cpus, cores } => {
                write!(f, "{} for {} and the threads that call", Number(*cores, "core"), Number(*cpus, "CPU"))
            }
            Self::Quota { millis, cpus } => {
                let (whole, part) = (millis / 1_000, millis % 1_000);
                write!(f, "{} may use the time of {whole}.{part:03} cores", Number(*cpus, "CPU"))
            }
            Self::BuilderKept { on } => write!(f, "the thread that built it is kept on {}", Ranges(on)),
        }
    }
}

/// A number of things.
struct Number(usize, &'static str);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

/// Numbers in order, as Linux lists CPUs: `0-3,8`.
struct Ranges<'a>(&'a [usize]);

impl fmt::Display for Ranges<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match run {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placement(cores: &[Option<usize>], allowed: &[usize], quota_millis: Option<u64>) -> Placement {
        Placement {
            cores: cores.to_vec(),
            allowance: Allowance { cores: allowed.to_vec(), quota_millis },
            builders: allowed.to_vec(),
            refused: Vec::new(),
        }
    }

    #[test]
    fn it_is_one_line_that_says_what_was_found() {
        let text = |cores: &[Option<usize>], allowed: &[usize]| placement(cores, allowed, None).to_string();
        assert_eq!(
            text(&[Some(0), Some(1)], &[0, 1, 2, 7]),
            "2 CPUs on cores 0-1, of 4 cores that the process may use"
        );
        assert_eq!(text(&[Some(7)], &[3, 7]), "1 CPU on core 7, of 2 cores that the process may use");
        assert_eq!(text(&[], &[3]), "no CPUs of its own; 1 core that the process may use");
        assert_eq!(
            text(&[None; 2], &[0, 1]),
            "2 CPUs wherever the scheduler runs them, 2 cores that the process may use; \
             2 cores for 2 CPUs and the threads that call"
        );
        assert_eq!(
            text(&[None], &[]),
            "1 CPU wherever the scheduler runs them, an unknown number that the process may use; \
             the system does not say which cores the process may use"
        );
        assert_eq!(Ranges(&[0, 1, 2, 5, 7, 8]).to_string(), "0-2,5,7-8");
    }

    #[test]
    fn it_warns_of_what_makes_it_slow() {
        use PlacementWarning::{BuilderKept, NoCoreLeft, NotKept, Quota, SharedCore};
        assert_eq!(placement(&[Some(0)], &[0, 1], Some(1_000)).warnings(), []);
        let mut all = placement(&[Some(0), Some(0), None], &[0, 1], Some(1_500));
        all.builders = vec![1];
        all.refused = vec![NotKept { cpu: 2, core: 1, error: "no".into() }];
        let warnings = [
            NotKept { cpu: 2, core: 1, error: "no".into() },
            SharedCore { core: 0, cpus: 2 },
            NoCoreLeft { cpus: 3, cores: 2 },
            Quota { millis: 1_500, cpus: 3 },
            BuilderKept { on: vec![1] },
        ];
        assert_eq!(all.warnings(), warnings);
        assert_eq!(
            all.to_string(),
            "3 CPUs on core 0, of 2 cores that the process may use; CPU 2 could not be kept on core 1: no; \
             2 CPUs share core 0; 2 cores for 3 CPUs and the threads that call; \
             3 CPUs may use the time of 1.500 cores; the thread that built it is kept on 1"
        );
        assert_eq!((all.core_of(0), all.core_of(2), all.core_of(3)), (Some(0), None, None));
        assert_eq!((all.process_cores(), all.quota_millis()), (&[0, 1][..], Some(1_500)));
    }
}
