//! `linux`: a Linux kernel with its call layer cut out and ours in its place, beside the stock one; boots both in QEMU.
//!
//! | step | module |
//! |---|---|
//! | which Linux, and where its sources are from | [`mod@series`] |
//! | how it is configured | [`mod@config`] |
//! | both kernels, configured and built | [`tree`] |
//! | what is cut out of three files | [`cut`] |
//! | our static object and the glue | [`layer`] |
//! | the guest's first file system, its modules, QEMU | [`guest`] |
//! | boot cases; what runs the guest's CPUs | [`mod@case`], [`mod@accel`] |
//! | judges that nobody here wrote, and their programs | [`mod@judge`], [`userland`] |
//! | faults that are planted | [`plant`] |
//! | the core with an ordering weakened | [`mod@weakened`] |
//! | what a console log says of a run; data races in it | [`verdict`], [`mod@kcsan`] |
//! | two kernels' figures side by side | [`mod@bench`] |

mod accel;
mod bench;
mod case;
mod config;
mod cut;
mod guest;
mod judge;
mod kcsan;
mod layer;
mod plant;
mod series;
mod tree;
mod userland;
mod verdict;
mod weakened;

pub(crate) use config::Config;
pub(crate) use series::Series;

use accel::Accel;
use anyhow::{Result, bail, ensure};
use case::Case;
use clap::{Args, Subcommand, ValueEnum};
use guest::Guest;
use judge::{Asked, Judge};
use plant::Plant;
use std::path::PathBuf;
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
        /// Only that a run with this fault fails
        #[arg(long)]
        planted: Option<Plant>,
    },
    /// A judge that nobody here wrote: Linux's torture tests, its selftests, stress-ng; suspend, kexec and panic in a storm of calls
    Judge {
        /// Who judges
        judge: Judge,
        #[command(flatten)]
        which: Which,
        /// How long, in seconds
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// While CPUs go and come
        #[arg(long)]
        onoff: bool,
        /// What is judged, if not all kinds that the judge knows
        #[arg(long, value_delimiter = ',')]
        kinds: Vec<String>,
    },
    /// The core with one memory ordering weakened, under scftorture and KCSAN: the run must fail
    Weakened(weakened::Args),
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
        /// How they are configured
        #[arg(long, default_value = "plain")]
        config: Config,
        /// How many CPUs the guest has
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
        cpus: u32,
        /// How often each is booted with a thread for each CPU, in turn; 0: only in virtual time, which a busy host does not change
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=99))]
        rounds: u32,
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
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=128))]
    cpus: u32,
    /// How it is booted, if not just so
    #[arg(long)]
    case: Option<Case>,
    /// What runs its CPUs
    #[arg(long, default_value = "threads")]
    accel: Accel,
    /// Further words of the kernel's command line
    #[arg(long, value_name = "WORDS")]
    boot_with: Option<String>,
}

/// Why it cannot be done here, in a line that says how to get what is missing.
pub(crate) fn missing() -> Option<String> {
    missing_for(STEP)
}

/// The series that CI builds.
const STEP: Series = Series::L7_3;

fn missing_for(series: Series) -> Option<String> {
    series.missing().or_else(tree::missing).or_else(guest::missing).or_else(layer::missing)
}

/// Fetches the sources that CI builds.
pub(crate) fn fetch_sources() -> Result<()> {
    STEP.fetch()
}

/// Fetches the crates of the layer.
pub(crate) fn fetch() -> Result<()> {
    layer::fetch()
}

/// Fetches the programs that judge in a guest.
pub(crate) fn fetch_programs() -> Result<()> {
    userland::stress_ng().map(drop)
}

impl Linux {
    fn series(&self) -> Series {
        match self {
            Self::Build { series, .. } | Self::Bench { series, .. } => *series,
            Self::Boot(which) => which.series,
            Self::Weakened(args) => args.series,
            Self::Scf { which, .. }
            | Self::Checks { which, .. }
            | Self::User { which, .. }
            | Self::Judge { which, .. } => which.series,
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
        Linux::Checks { which, planted: Some(plant), .. } => plant::fails(*plant, which),
        Linux::Checks { which, races, planted: None } => checks(which, *races),
        Linux::Judge { judge, which, seconds, onoff, kinds } => {
            let asked = Asked { seconds: *seconds, onoff: *onoff, kinds: kinds.clone() };
            judge::run(*judge, which, &asked)
        }
        Linux::Weakened(args) => weakened::run(args),
        Linux::User { which, seconds } => {
            let words = format!("smpcall.seconds={seconds}");
            let done = [Expected::text("worker 1 did"), Expected::text("switched CPUs")];
            let log = run(which, "user", *seconds, &words, &done)?;
            let counts = |line: &&str| line.contains(" did ") || line.contains("switched CPUs");
            log.lines().filter(counts).for_each(|line| println!("  {line}"));
            Ok(())
        }
        Linux::Bench { config, cpus, rounds, .. } => bench::run(series, *config, *cpus, *rounds),
    }
}

/// What CI runs: ours under scftorture, while CPUs go and come, and the checks.
pub(crate) fn step() -> Result<()> {
    let (series, variant, config) = (STEP, Variant::Ours, Config::Plain);
    let which =
        Which { series, variant, config, cpus: 4, case: None, accel: Accel::Threads, boot_with: None };
    scf(&which, 30, true, false)?;
    checks(&which, 5_000)
}

/// Boots a kernel, and returns the log of a run that went well.
fn run(which: &Which, what: &str, seconds: u32, words: &str, expected: &[Expected]) -> Result<String> {
    boot_case(which, what, seconds, words, expected, Vec::new())
}

/// … with further files; the log must also say that the boot case was one.
fn boot_case(
    which: &Which,
    what: &str,
    seconds: u32,
    words: &str,
    expected: &[Expected],
    files: Vec<(PathBuf, &'static str)>,
) -> Result<String> {
    let Which { series, variant, config, cpus, case, accel, .. } = *which;
    let max = config.cpus_max();
    ensure!(cpus <= max, "`--config {}` has {max} CPUs at most", config.name());
    if let Some(case) = case {
        case.refused(series, config, cpus)?;
    }
    accel.refused(case)?;
    let tree = Tree::build(series, variant, config)?;
    let words = format!("{words} {}", which.boot_with.as_deref().unwrap_or_default());
    let guest = Guest { tree: &tree, cpus, what, words: &words, seconds, accel, case, files };
    let log = kcsan::sifted(config, &tree, guest.boot()?)?;
    verdict::judge(variant, what, expected, &log)?;
    let says = case.map(|case| guest.setting(case).says).unwrap_or_default();
    let says = says.iter().map(String::as_str).chain(config.says().iter().chain(accel.says()).copied());
    if let Some(lacks) = says.into_iter().find(|text| !log.contains(text)) {
        bail!("that was not what was asked for: the log lacks `{}`", lacks.trim());
    }
    Ok(log)
}

fn scf(which: &Which, seconds: u32, onoff: bool, reports: bool) -> Result<()> {
    which.config.demand_scftorture(which.series)?;
    if which.config.has_judges() {
        ensure!(!reports, "`--reports` wants scftorture built in: `--config plain`");
        return judge::run(Judge::Scftorture, which, &Asked { seconds, onoff, kinds: Vec::new() });
    }
    let mut words = scf_words(seconds, onoff);
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

/// Of a kernel that has scftorture built in.
fn scf_words(seconds: u32, onoff: bool) -> String {
    let onoff = if onoff { " scftorture.onoff_holdoff=6 scftorture.onoff_interval=100" } else { "" };
    format!(
        "scftorture.holdoff=5 scftorture.shutdown_secs={seconds} scftorture.stat_interval=15 scftorture.verbose=1{onoff}"
    )
}

fn checks(which: &Which, races: u32) -> Result<()> {
    plant::fails(Plant::Warning, which)?;
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
