//! Faults that are planted: a run that has one must fail, and by it. Else what a run says would be worth nothing.

use super::guest::Guest;
use super::tree::Tree;
use super::{Variant, Which, verdict};
use anyhow::{Result, bail};
use clap::ValueEnum;

/// What is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Plant {
    /// A `WARN_ON(1)`
    Warning,
    /// One doorbell in so many is not rung, with reports of calls that are not answered
    LostDoorbell,
    /// … and without: the guest locks up, or hangs
    LostDoorbellUnreported,
}

impl Plant {
    fn name(self) -> &'static str {
        match self {
            Self::Warning => "`WARN_ON(1)`",
            Self::LostDoorbell => "lost doorbell",
            Self::LostDoorbellUnreported => "lost doorbell that nobody reports",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Warning => "smpcall.args=plant=1",
            Self::LostDoorbell => "csdlock_debug=1 smp.csd_lock_timeout=1000 smpcall.args=lose=500",
            Self::LostDoorbellUnreported => "smpcall.args=lose=500",
        }
    }

    /// Parts of what such a run may fail by.
    fn fails_by(self) -> &'static [&'static str] {
        match self {
            Self::Warning => &["WARNING:"],
            Self::LostDoorbell => &["csd: Detected non-responsive"],
            Self::LostDoorbellUnreported => &["the guest hangs", "soft lockup", "stall"],
        }
    }
}

/// Boots with the fault, and fails unless that run does.
pub(super) fn fails(plant: Plant, which: &Which) -> Result<()> {
    let doorbell = plant != Plant::Warning;
    if doorbell && which.variant == Variant::Stock {
        bail!("only ours has a doorbell that can be lost: `--variant ours`");
    }
    if doorbell && !which.config.has_judges() {
        bail!("a doorbell is lost by a kprobe: `--config judges`, or one that is made of it");
    }
    let tree = Tree::build(which.series, which.variant, which.config)?;
    let guest = Guest {
        tree: &tree,
        cpus: which.cpus,
        what: "planted",
        words: plant.words(),
        seconds: 60,
        accel: which.accel,
        case: which.case,
        files: Vec::new(),
    };
    let ran = guest.boot().and_then(|log| verdict::judge(which.variant, "planted", &[], &log));
    // Also of a guest that hangs there is a log.
    if doorbell && guest.log().is_ok_and(|log| !log.contains("smpcall-check: planted: ")) {
        bail!("no doorbell was lost: the module, or its kprobe, was refused");
    }
    let Err(why) = ran else {
        bail!("a planted {} did not fail the run: such a fault is not seen with this kernel", plant.name());
    };
    let said = format!("{why:#}");
    if !plant.fails_by().iter().any(|text| said.contains(text)) {
        return Err(why.context(format!("the run with a planted {} failed, but not by it", plant.name())));
    }
    println!("  a planted {} fails a run, as it is to: {said}", plant.name());
    Ok(())
}
