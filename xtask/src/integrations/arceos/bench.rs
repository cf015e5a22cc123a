//! Both layers, each in a guest of its own, in turn.

use super::machine::{self, Accel};
use super::{Arceos, Layer, PASSING};
use crate::boot::Arch;
use crate::integrations::{
    demand,
    table::{self, Bar, Goal},
};
use anyhow::{Result, bail};
use std::path::PathBuf;

/// What ours is held to where time counts instructions.
const GOALS: [Goal; 6] = [
    ("call and wait", Bar::Share(0.8)),
    ("shootdown of four pages on all", Bar::Share(0.8)),
    ("shootdown, by ArceOS' own function", Bar::Share(0.8)),
    ("wake-up of a thread", Bar::Share(0.9)),
    ("wake-up of a thread, by its wait queue", Bar::Share(0.9)),
    ("heap held by 1,000 calls", Bar::Nothing),
];

/// Boots them, and writes the table.
pub(super) fn run(arch: Arch, args: &Arceos) -> Result<()> {
    // Who waits spins in the original, and only x86-64's emulator takes a spin's PAUSE for a turn that is over.
    if args.accel == Accel::Icount && arch != Arch::X86_64 {
        bail!("where CPUs take turns the original's spin keeps its target from running: x86-64, or threads");
    }
    let layers = [(Layer::Theirs, "bench-theirs"), (Layer::Ours, "bench")];
    let mut built: Vec<PathBuf> = Vec::new();
    for (layer, _) in layers {
        built.push(machine::build(arch, layer, false)?);
    }
    let runs = if args.accel == Accel::Icount { 1 } else { args.runs };
    let mut logs = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        for (((_, name), kernel), logs) in layers.iter().zip(&built).zip(&mut logs) {
            let (end, log) = machine::start(arch, args, "bench", name, kernel)?;
            demand(PASSING, &format!("ArceOS, {}, {name}", arch.name()), "bench", args.cpus, end, &log)?;
            logs.push(log);
        }
    }
    let [theirs, ours] = logs.map(|logs| table::medians(&logs, "ok "));
    let name = format!("arceos-{}-{}cpus-{}", arch.name(), args.cpus, args.accel.name());
    let columns: [(&str, &str); 2] = [(&theirs, "ok "), (&ours, "ok ")];
    let goals = if args.accel == Accel::Icount { &GOALS[..] } else { &[] };
    table::write_with_goals("ax-ipi 0.6.5", columns, goals, &name)
}
