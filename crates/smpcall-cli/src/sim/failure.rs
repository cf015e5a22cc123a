//! A seed that failed: what it broke, the smallest scenario that still does, its timeline, its trace.

use crate::output::{JsonFile, complain, count_of};
use anyhow::Result;
use smpcall_sim::{Options, Scenario, chrome_trace, play_and_tell, shrink, timeline};

/// How many steps the search for a smaller scenario may take: some seconds' worth.
const SHRINK_STEPS: u64 = 40_000_000;

/// Tells of a failing seed, on standard error, and writes its trace; `brief`: only what it broke.
pub(super) fn tell(seed: u64, options: &Options, brief: bool, trace: Option<JsonFile>) -> Result<()> {
    let scenario = Scenario::draw(seed, options);
    let (outcome, _) = play_and_tell(&scenario);
    if let Some(violation) = &outcome.violation {
        complain!("seed {seed}: {violation}");
    }
    if brief {
        return Ok(());
    }
    let small = shrink(&scenario, SHRINK_STEPS);
    let (outcome, history) = play_and_tell(&small);
    complain!(
        "made small: {} of {}, {} of {}, the schedule of seed {}:",
        count_of(small.cpus as u64, "CPU"),
        scenario.cpus,
        count_of(small.ops() as u64, "op"),
        scenario.ops(),
        small.seed
    );
    complain!("{}", format!("{small}{}", timeline(&small, &history)).trim_end());
    if let Some(violation) = &outcome.violation {
        complain!("{violation}");
    }
    let trace = match trace {
        Some(file) => file,
        None => {
            let path = std::env::temp_dir().join(format!("smpcall-sim-{seed}.json"));
            complain!("its trace, for Perfetto or chrome://tracing: {}", path.display());
            let Some(file) = JsonFile::open(Some(&path))? else { return Ok(()) };
            file
        }
    };
    trace.write(&chrome_trace(&small, &history))
}
