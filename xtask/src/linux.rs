//! `linux`: a Linux kernel with its call layer cut out and ours in its place, beside the stock one; boots both in QEMU.
//!
//! | step | module |
//! |---|---|
//! | which Linux, and where its sources are from | [`mod@series`] |
//! | its configuration, both kernels | [`tree`] |
//! | what is cut out of three files | [`cut`] |
//! | our static object and the glue | [`layer`] |
//! | the guest's first file system, its modules, QEMU | [`guest`] |
//! | what a console log says of a run | [`verdict`] |
//! | two kernels' figures side by side | [`mod@bench`] |

mod bench;
mod cut;
mod guest;
mod layer;
mod series;
mod tree;
mod verdict;

pub(crate) use series::Series;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use guest::{Guest, Timing};
use tree::Tree;
use verdict::Expected;

/// The Debian packages with the sources of 6.12, with what they are built by, and with the guest's programs.
pub(crate) const DEBIAN: [&str; 9] = [
    "linux-source-6.12",
    "flex",
    "bison",
    "bc",
    "libelf-dev",
    "libssl-dev",
    "xz-utils",
    "cpio",
    "busybox-static",
];

/// Whose call layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Variant {
    /// Linux's own
    Stock,
    /// smpcall
    Ours,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Ours => "ours",
        }
    }
}

/// How the kernel is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Config {
    /// Small, as for a product
    Plain,
    /// Also preemptible, with lockdep, checks of contexts, and tracepoints
    Debug,
    /// Also with mitigations and versions of symbols, as distributions have them
    Wide,
}

impl Config {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Debug => "debug",
            Self::Wide => "wide",
        }
    }
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Linux {
    /// Build both kernels
    Build {
        /// Which Linux
        #[arg(long, default_value = "6.12")]
        series: Series,
        /// How they are configured
        #[arg(long, default_value = "plain")]
        config: Config,
    },
    /// Boot one, and switch it off
    Boot(Which),
    /// Linux's own torture test of this layer
    Scf {
        #[command(flatten)]
        which: Which,
        /// How long, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// While CPUs go and come
        #[arg(long)]
        onoff: bool,
        /// With reports of calls that are not answered, and handlers that take so long that some must come
        #[arg(long)]
        reports: bool,
    },
    /// What scftorture does not test, by a module of ours
    Checks {
        #[command(flatten)]
        which: Which,
        /// How many races for P2
        #[arg(long, default_value_t = 20_000)]
        races: u32,
    },
    /// A userland that makes every CPU busy, while CPUs go and come
    User {
        #[command(flatten)]
        which: Which,
        /// How long, in seconds
        #[arg(long, default_value_t = 30)]
        seconds: u32,
    },
    /// What calls cost on the stock kernel and on ours: one table
    Bench {
        /// Which Linux
        #[arg(long, default_value = "6.12")]
        series: Series,
        /// How many CPUs the guest has
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
        cpus: u32,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Which {
    /// Which Linux
    #[arg(long, default_value = "6.12")]
    series: Series,
    /// Whose call layer
    #[arg(long, default_value = "ours")]
    variant: Variant,
    /// How it is configured
    #[arg(long, default_value = "plain")]
    config: Config,
    /// How many CPUs the guest has
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
    cpus: u32,
}

/// Why it cannot be done here, in a line that says how to get what is missing.
pub(crate) fn missing() -> Option<String> {
    missing_for(Series::L6_12)
}

fn missing_for(series: Series) -> Option<String> {
    series.missing().or_else(tree::missing).or_else(guest::missing).or_else(layer::missing)
}

/// Fetches the crates of the layer.
pub(crate) fn fetch() -> Result<()> {
    layer::fetch()
}

impl Linux {
    fn series(&self) -> Series {
        match self {
            Self::Build { series, .. } | Self::Bench { series, .. } => *series,
            Self::Boot(which) => which.series,
            Self::Scf { which, .. } | Self::Checks { which, .. } | Self::User { which, .. } => which.series,
        }
    }
}

/// What was asked for.
pub(crate) fn verb(what: &Linux) -> Result<()> {
    let series = what.series();
    series.fetch()?;
    if let Some(why) = missing_for(series) {
        bail!("{why}");
    }
    match what {
        Linux::Build { config, .. } => {
            for variant in [Variant::Stock, Variant::Ours] {
                Tree::build(series, variant, *config)?;
            }
            Ok(())
        }
        Linux::Boot(which) => run(which, "boot", 0, "", &[]).map(drop),
        Linux::Scf { which, seconds, onoff, reports } => scf(which, *seconds, *onoff, *reports),
        Linux::Checks { which, races } => checks(which, *races),
        Linux::User { which, seconds } => {
            let words = format!("smpcall.seconds={seconds}");
            let done = [Expected::text("worker 1 did"), Expected::text("switched CPUs")];
            let log = run(which, "user", *seconds, &words, &done)?;
            let counts = |line: &&str| line.contains(" did ") || line.contains("switched CPUs");
            log.lines().filter(counts).for_each(|line| println!("  {line}"));
            Ok(())
        }
        Linux::Bench { cpus, .. } => bench::run(series, *cpus),
    }
}

/// What CI runs: ours under scftorture, while CPUs go and come, and the checks.
pub(crate) fn step() -> Result<()> {
    let which = Which { series: Series::L6_12, variant: Variant::Ours, config: Config::Plain, cpus: 4 };
    scf(&which, 30, true, false)?;
    checks(&which, 5_000)
}

/// Boots a kernel, and returns the log of a run that went well.
fn run(which: &Which, what: &str, seconds: u32, words: &str, expected: &[Expected]) -> Result<String> {
    let tree = Tree::build(which.series, which.variant, which.config)?;
    let guest = Guest { tree: &tree, cpus: which.cpus, what, words, seconds, timing: Timing::Threads };
    let log = guest.boot()?;
    verdict::judge(which.variant, what, expected, &log)?;
    Ok(log)
}

fn scf(which: &Which, seconds: u32, onoff: bool, reports: bool) -> Result<()> {
    let mut words = format!(
        "scftorture.holdoff=5 scftorture.shutdown_secs={seconds} scftorture.stat_interval=15 scftorture.verbose=1"
    );
    if onoff {
        words += " scftorture.onoff_holdoff=6 scftorture.onoff_interval=100";
    }
    let mut expected = vec![Expected::text("scftorture: --- End of test: SUCCESS")];
    if reports {
        words += " csdlock_debug=1 smp.csd_lock_timeout=100 scftorture.longwait=1";
        expected.push(Expected::report());
    }
    let log = run(which, "scf", seconds, &words, &expected)?;
    let last = log.lines().rfind(|line| line.contains("scf_invoked_count VER"));
    let counts = last.and_then(|line| line.split_once("VER: ")).map_or("no counts", |(_, counts)| counts);
    println!("  scftorture: SUCCESS, handlers invoked: {counts}");
    Ok(())
}

/// A run whose guest warns fails: else what a run says of warnings would be worth nothing.
fn planted_warning_fails(which: &Which) -> Result<()> {
    let tree = Tree::build(which.series, which.variant, which.config)?;
    let guest = Guest {
        tree: &tree,
        cpus: which.cpus,
        what: "planted",
        words: "",
        seconds: 60,
        timing: Timing::Threads,
    };
    match verdict::judge(which.variant, "planted", &[], &guest.boot()?) {
        Ok(()) => bail!("a planted `WARN_ON(1)` did not fail the run: this kernel's warnings are not seen"),
        Err(why) if why.to_string().contains("WARNING:") => {
            println!("  a planted `WARN_ON(1)` fails a run, as it is to: {why}");
            Ok(())
        }
        Err(why) => Err(why.context("the run with a planted `WARN_ON(1)` failed, but not by it")),
    }
}

fn checks(which: &Which, races: u32) -> Result<()> {
    planted_warning_fails(which)?;
    let posters = if which.variant == Variant::Ours { 1 } else { 0 };
    let words = format!("smpcall.args=races={races},many_posters={posters}");
    let log = run(which, "checks", 240, &words, &[Expected::text("smpcall-check: end:")])?;
    let lines = || log.lines().filter_map(|line| line.split_once("smpcall-check: ")).map(|(_, text)| text);
    lines().for_each(|line| println!("  {line}"));
    let end = verdict::checks_end(lines())?;
    match which.variant {
        _ if end.failures > 0 => bail!("{} of {} checks failed", end.failures, end.checks),
        Variant::Ours if end.broken > 0 => bail!("{} promises were broken", end.broken),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fragments_are_there_and_say_smp_and_bug() {
        let plain = tree::fragment(Series::L6_12, Config::Plain).unwrap();
        assert!(plain.contains(&"CONFIG_SMP=y".to_owned()) && plain.len() > 30);
        // Without it a warning prints nothing.
        assert!(plain.contains(&"CONFIG_BUG=y".to_owned()));
        let debug = tree::fragment(Series::L6_12, Config::Debug).unwrap();
        let dropped: Vec<_> = plain.iter().filter(|line| !debug.contains(line)).collect();
        assert_eq!(dropped, ["CONFIG_PREEMPT_VOLUNTARY=y"]);
        assert!(debug.contains(&"CONFIG_PROVE_LOCKING=y".to_owned()));
        let wide = tree::fragment(Series::L6_12, Config::Wide).unwrap();
        assert!(wide.contains(&"CONFIG_MODVERSIONS=y".to_owned()) && wide.len() > plain.len());
        let lazy = tree::fragment(Series::L7_3, Config::Plain).unwrap();
        assert!(lazy.contains(&"CONFIG_PREEMPT_LAZY=y".to_owned()), "7.3 has no voluntary preemption");
        assert!(!lazy.contains(&"CONFIG_PREEMPT_VOLUNTARY=y".to_owned()));
    }
}
