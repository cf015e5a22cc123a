//! The contract with all CPUs of a machine, untimed: what the timed rows do not exercise.
//!
//! Each visit starts a machine, whose own threads poll, sleep, or do one after the other, in turn; this thread is its
//! last CPU. Then every promise that can be seen from outside is tried: [`calls`] (P1, P4, P10, P11), [`posts`] (P1, P2,
//! P3, P5, P6), [`ends`] (P7, P8).
//!
//! Every wait has an end ([`Site::settled`]), so that a lost call is a failed check and not a hang.

mod calls;
mod ends;
mod posts;

use super::checks::Checks;
use crate::pace::{Pace, Place};
use anyhow::Result;
use smpcall_host::smpcall::{Budget, Csd, Platform, Posted};
use smpcall_host::{Attached, Idle, Machine};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

/// A counted csd of whatever closure.
type Counted = Arc<Csd<Box<dyn Fn() + Send + Sync>>>;

/// From here on, not all pairs of CPUs are tried, but each with so many neighbours.
const NEIGHBOURS: u32 = 16;
/// How long a run may take to come.
const LOST_AFTER_NS: u64 = 20_000_000_000;

/// A machine, and this thread as its last CPU.
struct Site<'m> {
    machine: &'m Arc<Machine>,
    here: RefCell<Attached<'m>>,
}

/// Starts a machine of `cpus` CPUs and tries everything once.
pub(super) fn check(place: &Place, cpus: u32, round: u32, checks: &mut Checks) -> Result<()> {
    let owned = cpus - 1;
    let idle = match round % 3 {
        0 => Idle::PollThenSleep(Duration::from_micros(20)),
        1 => Idle::Sleep,
        // Threads that poll need a core each, or none gets far.
        _ if cpus as usize <= place.cores.len() => Idle::Poll,
        _ => Idle::Sleep,
    };
    let builder = Machine::builder().owned(owned as usize).attachable(1);
    let machine = Arc::new(builder.cores(place.owned()).idle(idle).build()?);
    let here = RefCell::new(Place::attach(&machine, owned, place.caller())?);
    let site = Site { machine: &machine, here };
    calls::check(&site, checks)?;
    posts::check(&site, checks);
    ends::goes_offline(&machine, site.here.into_inner(), checks);
    ends::doorbells(place, checks)
}

/// Posts each to its CPU; how many were queued.
fn queued<'a>(machine: &Machine, csds: impl IntoIterator<Item = (u32, &'a Counted)>) -> u64 {
    let is_queued = |(cpu, csd): &(u32, &Counted)| machine.post(*cpu, *csd).is_ok_and(Posted::is_queued);
    csds.into_iter().filter(is_queued).count() as u64
}

fn counted(function: impl Fn() + Send + Sync + 'static) -> Counted {
    Arc::new(Csd::new(Box::new(function)))
}

impl Site<'_> {
    /// This thread's CPU.
    fn own(&self) -> u32 {
        self.here.borrow().cpu()
    }

    /// A CPU to call: another, if there is one.
    fn target(&self) -> u32 {
        0
    }

    fn cpus(&self) -> std::ops::Range<u32> {
        0..self.machine.cpus_len()
    }

    /// Those CPUs that `cpu` is tried with: all, or its next neighbours and itself.
    fn partners(&self, cpu: u32) -> impl Iterator<Item = u32> + Clone + use<> {
        let len = self.machine.cpus_len();
        (0..len.min(NEIGHBOURS)).map(move |step| (cpu + step) % len)
    }

    /// Waits until every run of the csd that is pending has ended; `false` if it does not come.
    fn settled(&self, csd: &Counted) -> bool {
        let deadline_ns = self.machine.platform().now_ns() + LOST_AFTER_NS;
        self.machine.wait_until(csd, deadline_ns).is_ok()
    }

    /// Serves this CPU's queue until `done`; `false` if that takes too long.
    fn serve_until(&self, done: impl Fn() -> bool) -> bool {
        Pace::Shared.wait_until(|| {
            // `More` needs no answer: we look again.
            let _ = self.here.borrow_mut().poll(Budget::DEFAULT);
            done()
        })
    }
}
