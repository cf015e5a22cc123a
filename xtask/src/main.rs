//! `cargo xtask <verb>`: the one entry to smpcall's tests, models, mutants and sanitizers.
//!
//! A new machine needs a Rust toolchain and nothing else for `cargo xtask test`; what more the sanitizers want,
//! `cargo xtask setup` fetches or names. `.ci/run` calls `cargo xtask test --full` and nothing besides.

mod boot;
mod debian;
mod docs;
mod files;
mod findings;
mod fuzz;
mod gate;
mod herd;
mod integrations;
mod kvm;
mod limit;
mod linux;
mod machine;
mod markdown;
mod metadata;
mod models;
mod msrv;
mod mutants;
mod package;
mod parallel;
mod peers;
mod perfetto;
mod report;
mod same_code;
mod sanitize;
mod seeds;
mod setup;
mod sh;
mod shards;
mod spin;
mod steps;
mod tidy;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Find or install what the tests need; says how to get what it cannot install
    Setup,
    /// Format, lints, tidy, tests, docs, loom models, simulated seeds, a short litmus run, a short torture
    Test {
        /// Also the litmus tests, the models for spin, the mutants, both sanitizers, the fuzzer under each, the kernel in QEMU, the whole litmus run, a minute of torture and one of fresh seeds
        #[arg(long)]
        full: bool,
    },
    /// Loom models of the core, all or those whose name contains NAME
    Models {
        /// A part of a model's name
        name: Option<String>,
    },
    /// Weaken each memory ordering of xtask/mutants.toml and demand that its check fails
    Mutants {
        /// Only the mutants whose id contains this, or one of these, divided by commas
        #[arg(long, value_name = "ID")]
        filter: Option<String>,
        /// Mutants under test at a time; as many as there are cores unless given
        #[arg(long)]
        jobs: Option<usize>,
        /// Measure instead after how many seeds the simulator finds each of its mutants
        #[arg(long)]
        seeds: bool,
        /// Demand instead that the other checks catch them, of those that have one
        #[arg(long, conflicts_with_all = ["seeds", "corpus"])]
        also: bool,
        /// Look instead for the first seed of the simulator's that finds each, and write them into its corpus
        #[arg(long, conflicts_with = "seeds")]
        corpus: bool,
    },
    /// The core's races as litmus tests, judged by herd7 under C11's model, and as compiled, under four machines'; each weaker ordering must be seen
    Herd {
        /// Only the compiled code
        #[arg(long)]
        compiled: bool,
        /// Instead run the tests on this machine by litmus7, some hundred thousand times each: what must never come about, and which mutants are seen
        #[arg(long, conflicts_with = "compiled")]
        on_this_machine: bool,
    },
    /// Promela models of sleep, hotplug, shutdown, blocking calls and two machines, judged by spin: nothing is lost, nobody is stuck; each mutant of a model must fail
    Spin,
    /// A run of the simulator in parts, on Slurm, GNU parallel and others: the parts merge, and one that is killed is noticed
    Seeds(seeds::Args),
    /// AddressSanitizer and ThreadSanitizer over the tests of the core and the host port
    Sanitize {
        /// One of the two; both unless given
        which: Option<sanitize::Sanitizer>,
    },
    /// Draw programs from the host's safe interface, run them under the sanitizers, and make those that fail smaller
    Fuzz(fuzz::Args),
    /// Build the kernel in kernel/, boot it in QEMU, and demand all the results that it announces
    Boot(boot::Boot),
    /// Put the core in the place of Linux's call layer, boot it, and let Linux's own torture test judge it
    #[command(subcommand)]
    Linux(linux::Linux),
    /// Build and boot kernels that others wrote, on smpcall: the folder integrations/
    Integrations(integrations::Args),
    /// Run the scripts in findings/: is what surprised us in other software still so? Not in CI
    Findings {
        /// A part of a script's name
        name: Option<String>,
    },
    /// Kick guests of KVM's out, a hundred thousand times, and beside the loop that signals until it is answered
    Kvm(kvm::Args),
    /// Ask Perfetto's own trace processor whether it shows the command's traces as they were written
    Perfetto,
    /// Open the page of `smpcall report` in Chromium: does it load, show each plot, and can it be read?
    Report,
    /// Make of each crate that is to be published its package, and build that by itself; nothing is uploaded
    Package,
    /// Build each crate that is to be published with the oldest compiler that it says it builds with
    Msrv,
    /// Measure calls beside channels, runtimes and Linux's algorithm in one run, and print the tables of docs/peers.md
    Peers(peers::Args),
    /// Drive the key-value server of examples/shards and its rivals by redis-benchmark, and print the table of docs/shards.md
    Shards(shards::Args),
    /// Hold what calls cost, in runs that alternate, against a build of the accepted commit; fail where a row is slower twice
    Gate(gate::Args),
    /// Compare the code of the fast paths with and without tracepoints that nobody listens to
    SameCode,
    /// Text rules: a reason at every ordering, sizes, links, a mutant for every ordering
    Tidy,
    /// Build rustdoc and the book, each warning an error, and check their links and every command that a document shows
    Docs(docs::Args),
    /// What .ci/run calls: `test --full`
    Ci,
}

fn main() -> ExitCode {
    let done = match Args::parse().verb {
        Verb::Setup => setup::run(),
        Verb::Test { full } => {
            return steps::run(if full { steps::Extent::Full } else { steps::Extent::Short });
        }
        Verb::Ci => return steps::run(steps::Extent::Full),
        Verb::Models { name } => models::run(name.as_deref()),
        Verb::Mutants { filter, jobs, seeds, corpus, also } => {
            let asks = match (seeds, corpus, also) {
                (true, ..) => mutants::Asks::Seeds,
                (_, true, _) => mutants::Asks::Corpus,
                (_, _, true) => mutants::Asks::Also,
                _ => mutants::Asks::Caught,
            };
            mutants::run(filter.as_deref(), jobs, asks)
        }
        Verb::Herd { on_this_machine: true, .. } => herd::here::run(),
        Verb::Herd { compiled: true, .. } => herd::compiled(),
        Verb::Herd { .. } => herd::run(),
        Verb::Spin => spin::run(),
        Verb::Seeds(args) => seeds::verb(&args),
        Verb::Sanitize { which } => sanitize::run(which),
        Verb::Fuzz(args) => fuzz::verb(&args),
        Verb::Boot(boot) => boot::verb(&boot),
        Verb::Linux(what) => linux::verb(&what),
        Verb::Integrations(args) => integrations::verb(&args),
        Verb::Findings { name } => findings::run(name.as_deref()),
        Verb::Kvm(args) => kvm::verb(&args),
        Verb::Perfetto => perfetto::run(),
        Verb::Report => report::run(),
        Verb::Package => package::run(),
        Verb::Msrv => msrv::run(),
        Verb::Peers(args) => peers::run(&args),
        Verb::Shards(args) => shards::run(&args),
        Verb::Gate(args) => gate::verb(&args),
        Verb::SameCode => same_code::run(),
        Verb::Tidy => tidy::run(),
        Verb::Docs(args) => docs::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why:#}");
            ExitCode::FAILURE
        }
    }
}
