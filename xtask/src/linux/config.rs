//! How a kernel is configured: a small configuration, and on top of it what makes it one of the others.

use super::Series;
use crate::sh;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::fs;

/// How the kernel is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Config {
    /// Small, as for a product
    Plain,
    /// Also preemptible, with lockdep, checks of contexts, and tracepoints
    Debug,
    /// Also with mitigations and versions of symbols, as distributions have them
    Wide,
    /// For judges and boot cases: up to 128 CPUs, nohz_full, NUMA, suspend, kexec, guests of KVM, mitigations; Linux's judges as modules
    Judges,
    /// Preemptible throughout, for real time (`PREEMPT_RT`), with lockdep and checks of contexts
    Rt,
    /// Also with KASAN, which sees memory errors, and our object built for it
    Kasan,
    /// Also with KCSAN, which sees data races and barriers that lack, and our object built for it
    Kcsan,
}

impl Config {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Debug => "debug",
            Self::Wide => "wide",
            Self::Judges => "judges",
            Self::Rt => "rt",
            Self::Kasan => "kasan",
            Self::Kcsan => "kcsan",
        }
    }

    /// Those whose lines it has, the later above the earlier.
    fn fragments(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["plain"],
            Self::Debug => &["plain", "debug"],
            Self::Wide => &["plain", "wide"],
            Self::Judges => &["plain", "judges"],
            Self::Rt => &["plain", "rt"],
            Self::Kasan => &["plain", "kasan"],
            Self::Kcsan => &["plain", "kcsan"],
        }
    }

    /// What a kernel says that is one of these: else a run would show nothing of what the configuration is for.
    pub(super) fn says(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Debug | Self::Wide | Self::Judges => &[],
            Self::Rt => &["SMP PREEMPT_RT"],
            Self::Kasan => &["KernelAddressSanitizer initialized"],
            Self::Kcsan => &["kcsan: enabled early", "kcsan: selftest: "],
        }
    }

    /// 6.12's scftorture frees memory in a call's function: for real time that takes a lock that sleeps.
    pub(super) fn demand_scftorture(self, series: Series) -> Result<()> {
        if self == Self::Rt && series == Series::L6_12 {
            bail!("6.12's scftorture is not made for real time: `--series 7.3`");
        }
        Ok(())
    }

    /// Whether Linux's judges are modules of it, of which each runs alone; else scftorture is built in, and keeps the others out.
    pub(super) fn has_judges(self) -> bool {
        self.fragments().contains(&"judges")
    }

    /// How many CPUs it can have.
    pub(super) fn cpus_max(self) -> u32 {
        if self.has_judges() { 128 } else { 64 }
    }
}

/// Symbols of which a kernel has one.
const CHOICES: [&[&str]; 2] = [
    &["CONFIG_PREEMPT_VOLUNTARY", "CONFIG_PREEMPT_LAZY", "CONFIG_PREEMPT"],
    &["CONFIG_NO_HZ_IDLE", "CONFIG_NO_HZ_FULL"],
];

fn symbol(line: &str) -> &str {
    line.split_once('=').map_or(line, |(symbol, _)| symbol)
}

/// Whether one line stands in the place of the other.
fn replaces(new: &str, old: &str) -> bool {
    let (new, old) = (symbol(new), symbol(old));
    new == old || CHOICES.iter().any(|choice| choice.contains(&new) && choice.contains(&old))
}

/// The lines that a configuration must have; `=n` says that it must not have a symbol.
pub(super) fn fragment(series: Series, config: Config) -> Result<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for file in config.fragments() {
        let path = sh::root().join("linux").join(format!("{file}.config"));
        let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        for line in text.lines().filter(|line| line.starts_with("CONFIG_")) {
            let line = series.own_line(line);
            lines.retain(|old| !replaces(line, old));
            lines.push(line.to_owned());
        }
    }
    Ok(lines)
}

/// What was asked for is there: a choice that does not fit is dropped without a word.
pub(super) fn demand(text: &str, fragment: &[String]) -> Result<()> {
    match lacking(text, fragment) {
        None => Ok(()),
        Some(line) if line == "CONFIG_SMP=y" => bail!("a kernel without SMP has no call layer"),
        Some(line) if line == "CONFIG_BUG=y" => {
            bail!("a kernel without BUG prints no warning, so that no run could fail by one")
        }
        Some(line) => bail!("the configuration lost `{line}`"),
    }
}

/// The first line that a configuration lacks.
fn lacking<'a>(config: &str, fragment: &'a [String]) -> Option<&'a String> {
    fragment.iter().find(|line| match line.strip_suffix("=n") {
        Some(out) => config.lines().any(|has| symbol(has) == out),
        None => !config.lines().any(|has| has == line.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragments_are_there_and_say_smp_and_bug() {
        let plain = fragment(Series::L6_12, Config::Plain).unwrap();
        assert!(plain.contains(&"CONFIG_SMP=y".to_owned()) && plain.len() > 30);
        // Without it a warning prints nothing.
        assert!(plain.contains(&"CONFIG_BUG=y".to_owned()));
        let debug = fragment(Series::L6_12, Config::Debug).unwrap();
        let dropped: Vec<_> = plain.iter().filter(|line| !debug.contains(line)).collect();
        assert_eq!(dropped, ["CONFIG_PREEMPT_VOLUNTARY=y"]);
        assert!(debug.contains(&"CONFIG_PROVE_LOCKING=y".to_owned()));
        let wide = fragment(Series::L6_12, Config::Wide).unwrap();
        assert!(wide.contains(&"CONFIG_MODVERSIONS=y".to_owned()) && wide.len() > plain.len());
        let lazy = fragment(Series::L7_3, Config::Plain).unwrap();
        assert!(lazy.contains(&"CONFIG_PREEMPT_LAZY=y".to_owned()), "7.3 has no voluntary preemption");
        assert!(!lazy.contains(&"CONFIG_PREEMPT_VOLUNTARY=y".to_owned()));
    }

    #[test]
    fn a_later_line_stands_for_an_earlier_one_of_its_symbol_or_choice() {
        let judges = fragment(Series::L7_3, Config::Judges).unwrap();
        for (there, gone) in [
            ("CONFIG_NR_CPUS=128", "CONFIG_NR_CPUS=64"),
            ("CONFIG_SCF_TORTURE_TEST=m", "CONFIG_SCF_TORTURE_TEST=y"),
            ("CONFIG_NO_HZ_FULL=y", "CONFIG_NO_HZ_IDLE=y"),
        ] {
            assert!(judges.contains(&there.to_owned()) && !judges.contains(&gone.to_owned()), "{there}");
        }
        assert!(replaces("CONFIG_PREEMPT=y", "CONFIG_PREEMPT_LAZY=y"));
        assert!(!replaces("CONFIG_PREEMPT_DYNAMIC=y", "CONFIG_PREEMPT_LAZY=y"));
        for config in Config::value_variants() {
            assert!(config.cpus_max() == 64 || config.has_judges(), "{config:?}");
            let lines = fragment(Series::L6_12, *config).unwrap();
            assert!(lines.contains(&format!("CONFIG_NR_CPUS={}", config.cpus_max())), "{config:?}");
        }
    }

    #[test]
    fn real_time_is_for_a_series_whose_scftorture_is_made_for_it() {
        let rt = fragment(Series::L7_3, Config::Rt).unwrap();
        assert!(rt.contains(&"CONFIG_PREEMPT_RT=y".to_owned()));
        assert!(!rt.contains(&"CONFIG_PREEMPT_LAZY=y".to_owned()), "one model");
        Config::Rt.demand_scftorture(Series::L7_3).unwrap();
        assert!(Config::Rt.demand_scftorture(Series::L6_12).is_err());
        Config::Plain.demand_scftorture(Series::L6_12).unwrap();
    }

    #[test]
    fn a_line_that_was_dropped_is_named() {
        let wants = ["CONFIG_SMP=y".to_owned(), "CONFIG_BUG=y".to_owned(), "CONFIG_NR_CPUS=64".to_owned()];
        let why = |config: &str| demand(config, &wants).unwrap_err().to_string();
        demand("CONFIG_SMP=y\nCONFIG_NR_CPUS=64\nCONFIG_BUG=y\n", &wants).unwrap();
        assert!(why("# CONFIG_SMP is not set\n").contains("without SMP"));
        assert!(why("CONFIG_SMP=y\nCONFIG_NR_CPUS=64\n").contains("no warning"));
        assert!(why("CONFIG_SMP=y\nCONFIG_BUG=y\nCONFIG_NR_CPUS=8\n").contains("lost `CONFIG_NR_CPUS=64`"));
        let without = ["CONFIG_SLUB_TINY=n".to_owned()];
        demand("# CONFIG_SLUB_TINY is not set\n", &without).unwrap();
        demand("CONFIG_SLUB_TINY_OTHER=y\n", &without).unwrap();
        assert!(demand("CONFIG_SLUB_TINY=y\n", &without).is_err());
    }
}
