//! `smpcall sim`: the core on simulated machines, seed after seed; every promise checked, every failure repeatable.
//!
//! | module | what it does |
//! |---|---|
//! | [`flags`] | what seeds, CPUs, faults and partitions look like on the command line |
//! | [`corpus`] | seeds that once failed, played again first |
//! | [`scale`] | `--scale`: what calls cost on growing machines |
//! | [`failure`] | a seed that failed: made small, told, written as a trace |
//! | [`mod@repeat`] | the command lines that repeat a run, or one seed of it |
//! | [`part`] | what is written of a run, or of a part of one |
//! | [`merge`] | parts that several machines have run, as one result |
//!
//! The simulator itself is the crate `smpcall-sim`. What depends on time here is only how many seeds are run.

mod corpus;
mod failure;
mod flags;
pub(crate) mod merge;
mod part;
mod repeat;
mod scale;

use crate::output::{JsonFile, complain, count_of, progress, say};
use crate::run::seconds;
use anyhow::{Result, bail};
use flags::{Cpus, FaultFlag, KindFlag, MemoryFlag, Partition, Seed};
use indicatif::ProgressBar;
use repeat::{drawn, repeat, switches};
use serde_json::{Value, json};
use smpcall_sim::{
    Coverage, DRAW, FaultChoice, Memory, Options, Scenario, play, play_and_cover, play_elsewhere,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many seeds are run if nothing says how many.
const SEEDS: u64 = 1_000;

/// For the help.
pub(crate) const EXAMPLES: &[(&str, &str)] = &[
    ("smpcall sim --seeds 100000", "from a drawn seed on, which is printed"),
    ("smpcall sim --seed 7", "that one again, to the last step"),
    (
        "smpcall sim --cpus 2..4 --faults lost=0.1,late=0.5",
        "small machines, whose doorbells are lost or late",
    ),
    ("smpcall sim --scale", "what calls cost on up to 8192 CPUs, by a model"),
    ("smpcall sim merge part-1.json part-2.json", "what several machines have run, as one result"),
];

/// What else than to simulate.
#[derive(clap::Subcommand)]
enum What {
    /// Makes one result of what the parts of a run have written, on however many machines; fails if one is lost.
    #[command(after_help = crate::help(merge::EXAMPLES))]
    Merge(merge::Merge),
}

/// What to simulate.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// The first seed, decimal or 0x…; alone: the only one [default: drawn]
    #[arg(long, value_name = "SEED", allow_negative_numbers = true)]
    seed: Option<Seed>,
    /// How many seeds, one after another [default: 1000, or as many as --seconds allow]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    seeds: Option<u64>,
    /// How many CPUs: a number, or a range such as 2..16
    #[arg(long, value_name = "CPUS", default_value = "2..16", allow_negative_numbers = true)]
    cpus: Cpus,
    /// Faults: on (each seed draws a mix), off, or rates from 0 to 1 such as lost=0.1,late=0.5
    #[arg(long, value_name = "FAULTS", default_value = "on")]
    faults: FaultFlag,
    /// Only every n-th seed, from the i-th on: for n machines that share the work
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    partition: Partition,
    /// For how long at most
    #[arg(long, value_parser = seconds, allow_negative_numbers = true)]
    seconds: Option<Duration>,
    /// After how many steps a run is given up, and has failed [default: by the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    steps_max: Option<u64>,
    /// Programs with calls that are awaited as well, whose futures are answered, dropped or forgotten
    #[arg(long)]
    futures: bool,
    /// Programs with CPUs that go to user space as well, and posts that are deferred until they come back
    #[arg(long)]
    users: bool,
    /// Programs with rendezvous as well
    #[arg(long)]
    meets: bool,
    /// How weak memory is: tso (x86: stores are late), or weak (C++20's and Rust's model: loads read old values, and what is no
    /// atomic can race)
    #[arg(long, value_name = "MODEL", default_value = "tso")]
    memory: MemoryFlag,
    /// Prints which states the runs came to; each round of 64 seeds draws more of the kinds of calls whose runs have shown something new
    #[arg(long)]
    coverage: bool,
    /// Kinds of calls that are drawn four times as often
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    prefer: Vec<KindFlag>,
    /// Does not play the corpus first: seeds that once failed. (A seed alone goes without.)
    #[arg(long)]
    no_corpus: bool,
    /// Tells of a failure by its seed and what it broke: does not make it smaller, and writes no trace
    #[arg(long, conflicts_with = "trace")]
    brief: bool,
    /// Programs with multicasts whose callers have work of their own before they wait, as well
    #[arg(long)]
    works: bool,
    /// Runs each seed twice, at other addresses, and compares the two to the last step
    #[arg(long)]
    twice: bool,
    /// Goes on after a failure, and counts
    #[arg(long)]
    keep_going: bool,
    /// Writes the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the trace of a failure to this file, for Perfetto or chrome://tracing
    /// [default: smpcall-sim-SEED.json in the folder for temporary files]
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    scaling: scale::Scaling,
}

/// What was found.
#[derive(Default)]
struct Tally {
    seeds: u64,
    steps: u64,
    failed: Vec<u64>,
    /// What the first that failed was drawn from.
    failed_from: Option<Options>,
    /// Where it is asked for.
    coverage: Option<Coverage>,
    /// Seeds whose second run was not the first.
    unstable: Vec<u64>,
}

/// Simulates, prints, and fails if any promise was broken.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(What::Merge(parts)) = &args.what {
        return merge::run(parts);
    }
    let json = JsonFile::open(args.json.as_deref())?;
    if let Some(cpus_max) = args.scaling.scale {
        return scale::run(&args.scaling, cpus_max, json);
    }
    let trace = JsonFile::open(args.trace.as_deref())?;
    let options = options(args);
    let first = args.seed.map_or_else(|| fastrand::u64(..), |seed| seed.0);
    let seeds = asked(args).unwrap_or(u64::MAX);
    // At once: whoever ends this before it does wants to know.
    say!("first seed {first}; to see the same again: {}", repeat::run(args, first))?;
    let replayed = if args.no_corpus || seeds == 1 { None } else { Some(corpus::replay()?) };
    // Where nobody reads that, a failure is told all the same: below.
    let mut printed = replayed.as_ref().map_or(Ok(()), corpus::Replayed::print);
    // One that fails is news enough.
    let is_over = !args.keep_going && replayed.as_ref().is_some_and(corpus::Replayed::has_failed);
    let seeds = if is_over { 0 } else { seeds };
    let began = Instant::now();
    let bar = bar(args, seeds);
    let tally = simulate(args, &options, first, seeds, &bar);
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let per_second = tally.seeds as f64 / seconds.max(1e-9);
    if let Some(json) = json {
        let mut results = json!({
            "first_seed": first,
            "seeds": tally.seeds,
            "seeds_per_second": per_second,
            "steps": tally.steps,
            "violations": tally.violations(),
            "failed": tally.failed,
            "unstable": tally.unstable,
            "corpus": replayed.as_ref().map_or(Value::Null, corpus::Replayed::json),
            "coverage": tally.coverage.as_ref().map_or(Value::Null, covered),
        });
        results.as_object_mut().expect("an object").extend(identity(args, &options, &tally));
        json.write_results(part::SCHEMA, &results)?;
    }
    printed = printed.and(say!(
        "smpcall sim: first_seed={first} seeds={} seeds_per_second={per_second:.0} steps={} violations={}",
        tally.seeds,
        tally.steps,
        tally.violations()
    ));
    if let Some(coverage) = &tally.coverage {
        printed = printed.and_then(|()| print_coverage(coverage));
    }
    match &replayed {
        Some(replayed) if tally.violations() == 0 => replayed.verdict(args.brief, trace)?,
        _ => verdict(args, &options, &tally, trace)?,
    }
    printed
}

fn options(args: &Args) -> Options {
    let faults = match &args.faults {
        FaultFlag::On => FaultChoice::Drawn,
        FaultFlag::Off => FaultChoice::These(smpcall_sim::Faults::off()),
        FaultFlag::Rates(faults) => FaultChoice::These(faults.clone()),
    };
    Options {
        cpus_min: args.cpus.min,
        cpus_max: args.cpus.max,
        faults,
        steps_max: args.steps_max,
        futures: args.futures,
        users: args.users,
        meets: args.meets,
        memory: args.memory.0,
        prefer: args.prefer.iter().map(|kind| kind.0).collect(),
        works: args.works,
    }
}

impl Tally {
    fn violations(&self) -> usize {
        self.failed.len() + self.unstable.len()
    }
}

/// By seeds, or by time where that is the limit.
fn bar(args: &Args, seeds: u64) -> ProgressBar {
    let millis = args.seconds.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    let len = if args.seeds.is_some() { seeds } else { millis.unwrap_or(seeds) };
    progress(len, "sim")
}

fn simulate(args: &Args, options: &Options, first: u64, seeds: u64, bar: &ProgressBar) -> Tally {
    let began = Instant::now();
    let mut options = options.clone();
    let mut tally = Tally { coverage: args.coverage.then(Coverage::default), ..Tally::default() };
    for nth in (0..seeds).filter(|nth| args.partition.has(*nth)) {
        if args.seconds.is_some_and(|limit| began.elapsed() >= limit) {
            break;
        }
        let seed = first.wrapping_add(nth);
        let scenario = Scenario::draw(seed, &options);
        let outcome = match &mut tally.coverage {
            Some(coverage) => play_and_cover(&scenario, coverage),
            None => play(&scenario),
        };
        tally.seeds += 1;
        tally.steps += outcome.steps;
        if let Some(violation) = &outcome.violation {
            tally.failed.push(seed);
            tally.failed_from.get_or_insert_with(|| options.clone());
            if args.keep_going {
                // At once, as the first seed. Without the flag this is the last, and told of below.
                bar.suspend(|| complain!("seed {seed}: {violation}"));
            }
        } else if args.twice {
            let (again, _) = play_elsewhere(&scenario, 0);
            if (again.hash, again.steps) != (outcome.hash, outcome.steps) {
                tally.unstable.push(seed);
            }
        }
        if tally.seeds.is_multiple_of(64) {
            if let Some(coverage) = &mut tally.coverage {
                options.prefer = coverage.to_prefer();
            }
            let elapsed = began.elapsed();
            bar.set_position(if args.seeds.is_some() || args.seconds.is_none() {
                nth
            } else {
                u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
            });
            let per_second = tally.seeds as f64 / elapsed.as_secs_f64().max(1e-9);
            bar.set_message(format!("sim, {per_second:.0} seeds a second"));
        }
        if tally.violations() > 0 && !args.keep_going {
            break;
        }
    }
    tally
}

fn verdict(args: &Args, options: &Options, tally: &Tally, trace: Option<JsonFile>) -> Result<()> {
    if let Some(seed) = tally.unstable.first() {
        complain!("seed {seed}: its second run was another than its first");
    }
    if let Some(seed) = tally.failed.first() {
        let options = tally.failed_from.as_ref().unwrap_or(options);
        failure::tell(*seed, options, args.brief, trace)?;
        complain!("to see it again: {}", repeat(args, options, *seed));
    }
    match tally.violations() {
        0 => Ok(()),
        violations => {
            bail!("{violations} of {} failed: {:?}", count_of(tally.seeds, "seed"), first_few(tally))
        }
    }
}

fn covered(coverage: &Coverage) -> Value {
    let [state, head, calls] = coverage.counts();
    let rows: serde_json::Map<_, _> = coverage.rows().map(|(row, runs)| (row, runs.into())).collect();
    json!({ "state_changes": state, "head_changes": head, "calls_in_context": calls, "runs": rows })
}

fn print_coverage(coverage: &Coverage) -> Result<()> {
    let [state, head, calls] = coverage.counts();
    say!(
        "{state} changes of state words, {head} of heads, {calls} calls in their contexts; in how many runs:"
    )?;
    coverage.rows().try_for_each(|(row, runs)| say!("{runs:>9}  {row}"))
}

/// Of which run this is a part, and what repeats the first that failed.
fn identity(args: &Args, options: &Options, tally: &Tally) -> serde_json::Map<String, Value> {
    let from = tally.failed_from.as_ref().unwrap_or(options);
    let fields = [
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("draw", DRAW.into()),
        ("fingerprint", fingerprint().into()),
        ("seeds_asked", asked(args).into()),
        ("partition", args.partition.to_string().into()),
        ("flags", format!("{}{}", drawn(args, options), switches(args)).into()),
        ("repeat", tally.failed.first().map(|seed| repeat(args, from, *seed)).into()),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Which seeds' runs this build has: of a few seeds that draw everything, a hash of what came of them. A build whose simulator draws
/// otherwise, or whose core accesses its words in another order, has another.
fn fingerprint() -> String {
    let options = Options { futures: true, users: true, meets: true, works: true, ..Options::default() };
    let mut hash = 0_u64;
    for memory in [Memory::Tso, Memory::Weak] {
        let options = Options { memory, ..options.clone() };
        for seed in 0..8 {
            let outcome = play(&Scenario::draw(seed, &options));
            hash = hash.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ outcome.hash ^ outcome.steps;
        }
    }
    format!("{hash:016x}")
}

/// How many seeds the whole run has, if not only the time ends it.
fn asked(args: &Args) -> Option<u64> {
    match (args.seeds, args.seconds, args.seed) {
        (Some(seeds), ..) => Some(seeds),
        (None, Some(_), _) => None,
        (None, None, Some(_)) => Some(1),
        (None, None, None) => Some(SEEDS),
    }
}

fn first_few(tally: &Tally) -> Vec<u64> {
    tally.failed.iter().chain(&tally.unstable).copied().take(20).collect()
}
