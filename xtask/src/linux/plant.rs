//! Faults that are planted: a run that has one must fail, and by it. Else what a run says would be worth nothing.

use super::guest::Guest;
use super::tree::Tree;
use super::{Config, Variant, Which, kcsan, verdict};
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
    /// A csd is posted that was freed: KASAN is to see it
    FreedCsd,
    /// A caller and what it called write one variable at the same time: KCSAN is to see it
    Race,
}

impl Plant {
    fn name(self) -> &'static str {
        match self {
            Self::Warning => "`WARN_ON(1)`",
            Self::LostDoorbell => "lost doorbell",
            Self::LostDoorbellUnreported => "lost doorbell that nobody reports",
            Self::FreedCsd => "post of a freed csd",
            Self::Race => "data race",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Warning => "smpcall.args=plant=1",
            Self::LostDoorbell => "csdlock_debug=1 smp.csd_lock_timeout=1000 smpcall.args=lose=500",
            Self::LostDoorbellUnreported => "smpcall.args=lose=500",
            Self::FreedCsd => "smpcall.args=plant=2",
            Self::Race => "smpcall.args=plant=3",
        }
    }

    /// Parts of what such a run may fail by.
    fn fails_by(self) -> &'static [&'static str] {
        match self {
            Self::Warning => &["WARNING:"],
            Self::LostDoorbell => &["csd: Detected non-responsive"],
            Self::LostDoorbellUnreported => &["the guest hangs", "soft lockup", "stall"],
            Self::FreedCsd => &["BUG: KASAN: slab-use-after-free"],
            Self::Race => &["BUG: KCSAN: data-race in smpcall_planted_race"],
        }
    }

    fn is_lost_doorbell(self) -> bool {
        matches!(self, Self::LostDoorbell | Self::LostDoorbellUnreported)
    }

    /// Why it would not be seen with that kernel, before that is built.
    fn refused(self, which: &Which) -> Result<()> {
        if self.is_lost_doorbell() && which.variant == Variant::Stock {
            bail!("only ours has a doorbell that can be lost: `--variant ours`");
        }
        if self.is_lost_doorbell() && !which.config.has_judges() {
            bail!("a doorbell is lost by a kprobe: `--config judges`, or one that is made of it");
        }
        match self {
            Self::FreedCsd if which.config != Config::Kasan => bail!("KASAN sees it: `--config kasan`"),
            Self::Race if which.config != Config::Kcsan => bail!("KCSAN sees it: `--config kcsan`"),
            _ => Ok(()),
        }
    }
}

/// Boots with the fault, and fails unless that run does.
pub(super) fn fails(plant: Plant, which: &Which) -> Result<()> {
    plant.refused(which)?;
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
    let ran = guest.boot().and_then(|log| kcsan::sifted(which.config, &tree, log));
    let ran = ran.and_then(|log| verdict::judge(which.variant, "planted", &[], &log));
    // Also of a guest that hangs there is a log.
    if plant.is_lost_doorbell() && guest.log().is_ok_and(|log| !log.contains("smpcall-check: planted: ")) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linux::{Accel, Series};

    #[test]
    fn what_a_kernel_would_not_see_is_refused() {
        let which = |config, variant| Which {
            series: Series::L7_3,
            variant,
            config,
            cpus: 4,
            case: None,
            accel: Accel::Threads,
            boot_with: None,
        };
        for (plant, config) in [
            (Plant::FreedCsd, Config::Kasan),
            (Plant::Race, Config::Kcsan),
            (Plant::LostDoorbell, Config::Judges),
        ] {
            plant.refused(&which(config, Variant::Ours)).unwrap();
            assert!(plant.refused(&which(Config::Plain, Variant::Ours)).is_err(), "{plant:?}");
        }
        assert!(Plant::LostDoorbell.refused(&which(Config::Judges, Variant::Stock)).is_err());
        Plant::Warning.refused(&which(Config::Plain, Variant::Stock)).unwrap();
    }
}
