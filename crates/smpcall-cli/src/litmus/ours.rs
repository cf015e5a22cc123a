//! Our protocol, the real thing: a csd that is posted to a machine's CPU.

use super::race::{self, Outcome, Protocol, Site};
use crate::pace::{Pace, Place, pin};
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use smpcall_host::smpcall::{Csd, Posted};
use smpcall_host::{Idle, Machine};

struct Ours<'m, F: 'static> {
    machine: &'m Machine,
    csd: &'static Csd<F>,
}

impl<F: Fn() + Sync + 'static> Protocol for Ours<'_, F> {
    #[inline]
    fn post(&self) -> Result<Posted> {
        self.machine.post(0, self.csd).context("a post was refused")
    }
}

pub(super) fn race(place: &Place, posts: u64, bar: &ProgressBar) -> Result<Outcome> {
    let pace = place.pace();
    // A thread that polls a core which it shares would keep the poster off it.
    let idle = match pace {
        Pace::Apart => Idle::Poll,
        Pace::Shared => Idle::Sleep,
    };
    let machine = Machine::builder().owned(1).cores(place.owned()).idle(idle).build()?;
    pin(place.caller())?;
    // One for each race, never freed: a csd that is posted by reference lives for ever.
    let site: &'static Site = Box::leak(Box::new(Site::new()));
    let csd: &'static _ = Box::leak(Box::new(Csd::new(move || site.run())));
    race::race(&Ours { machine: &machine, csd }, site, posts, pace, bar)
}
