//! What most kernels want calls for: a page is unmapped, and no CPU may go on using its old translation.

use super::{Text, Wrong};
use crate::arch::page;
use crate::cpus;
use crate::machine::SMP;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use smpcall::To;

const ROUNDS: u64 = 20;

/// Maps, has every CPU read, unmaps, calls every CPU to throw its translation out; then every CPU must fault.
pub(super) fn run(text: &mut Text) -> Result<(), Wrong> {
    let cpus = cpus::count();
    let mut stale_in_all = 0;
    for round in 1..=ROUNDS {
        page::map(round);
        let (read, _) = on_all(page::read);
        if read != u64::from(cpus) * round {
            return Err(text.wrong(format_args!("round {round}: {cpus} CPUs read {read} in all")));
        }
        page::unmap();
        // Until they are told, they may go on reading there. That some do shows that there is something to be thrown out.
        let (_, faults_before) = on_all(page::read);
        stale_in_all += cpus - faults_before;
        if SMP.call_many(To::All, page::flush_local).is_err() {
            return Err(text.wrong(format_args!("round {round}: the multicast was refused")));
        }
        let (_, faults) = on_all(page::read);
        if faults != cpus {
            return Err(text.wrong(format_args!("round {round}: {faults} of {cpus} CPUs faulted")));
        }
    }
    text.well(format_args!(
        "{ROUNDS} times {cpus} CPUs faulted; of {} looks before the call, {stale_in_all} found the old translation",
        ROUNDS * u64::from(cpus)
    ))
}

/// Has every CPU read the page: the sum of what they read, and how many faulted.
fn on_all(read: fn() -> Option<u64>) -> (u64, u32) {
    let (sum, faults) = (AtomicU64::new(0), AtomicU32::new(0));
    let reached = SMP.call_many(To::All, || match read() {
        // Relaxed: the call's return publishes them (P4).
        Some(value) => _ = sum.fetch_add(value, Ordering::Relaxed),
        None => _ = faults.fetch_add(1, Ordering::Relaxed),
    });
    assert!(reached.is_ok_and(|reached| reached.ran == cpus::count()), "all CPUs are online");
    (sum.into_inner(), faults.into_inner())
}
