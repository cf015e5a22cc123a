//! The command lines that repeat a run, or one seed of it.

use super::flags::{KindFlag, Partition};
use super::{Args, SEEDS, options};
use smpcall_sim::Options;

/// The command line of the whole run.
pub(super) fn run(args: &Args, first: u64) -> String {
    let mut line = repeat(args, &options(args), first);
    let mut add = |flag: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" {flag} {value}"));
        }
    };
    let alone = args.seed.is_some() || args.seconds.is_some();
    add("--seeds", args.seeds.or((!alone).then_some(SEEDS)).map(|seeds| seeds.to_string()));
    add("--seconds", args.seconds.map(|limit| limit.as_secs_f64().to_string()));
    add("--partition", (args.partition != Partition::WHOLE).then(|| args.partition.to_string()));
    line + &switches(args)
}

/// Flags that change no seed's run, but what is made of it.
pub(super) fn switches(args: &Args) -> String {
    set([
        (args.coverage, " --coverage"),
        (args.no_corpus, " --no-corpus"),
        (args.twice, " --twice"),
        (args.keep_going, " --keep-going"),
    ])
}

/// The command line that plays that seed again.
pub(super) fn repeat(args: &Args, options: &Options, seed: u64) -> String {
    format!("smpcall sim --seed {seed} {}", drawn(args, options))
}

/// The flags by which a seed's run is drawn.
pub(super) fn drawn(args: &Args, options: &Options) -> String {
    let steps = args.steps_max.map(|steps| format!(" --steps-max {steps}")).unwrap_or_default();
    let kinds: Vec<String> = options.prefer.iter().map(|kind| KindFlag(*kind).to_string()).collect();
    let prefer = if kinds.is_empty() { String::new() } else { format!(" --prefer '{}'", kinds.join(",")) };
    let more = more(options);
    format!("--memory {} --cpus {} --faults {}{steps}{more}{prefer}", args.memory, args.cpus, args.faults)
}

/// The flags by which programs have more in them.
pub(super) fn more(options: &Options) -> String {
    set([
        (options.futures, " --futures"),
        (options.users, " --users"),
        (options.meets, " --meets"),
        (options.works, " --works"),
    ])
}

/// Those flags that are set.
fn set<const N: usize>(flags: [(bool, &str); N]) -> String {
    flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).collect()
}
