//! What most kernels want calls for: a page is unmapped, and no CPU may go on using its old translation.

use super::{Text, Wrong};
use crate::arch::page;
use crate::console::println;
use crate::cpus;
use crate::machine::{DropPage, Port, SMP};
use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use smpcall::{Broadcast, Broadcasting, NotBroadcast, To};

const ROUNDS: u64 = 20;

/// Many rounds. That old translations are found before the call shows that there is something to be thrown out.
pub(super) fn run(text: &mut Text) -> Result<(), Wrong> {
    let mut stale_in_all = 0;
    for value in 1..=ROUNDS {
        stale_in_all += round(text, value, |_| (), by_calls)?;
    }
    let cpus = cpus::count();
    text.well(format_args!(
        "{ROUNDS} times {cpus} CPUs faulted; of {} looks before the call, {stale_in_all} found the old translation",
        ROUNDS * u64::from(cpus)
    ))
}

/// The same by the hardware's broadcast, where there is one, and then without an interrupt; else by calls.
pub(super) fn run_by_broadcast(text: &mut Text) -> Result<(), Wrong> {
    rounds_of(text, &DropPage)?;
    let (cpus, how) =
        (cpus::count(), if page::FLUSH_ALL.is_some() { "the hardware, and no interrupt" } else { "calls" });
    text.well(format_args!("{ROUNDS} times {cpus} CPUs faulted, reached by {how}"))
}

/// A broadcast that is none: it comes to the caller's CPU alone.
pub(super) fn run_by_none(text: &mut Text) -> Result<(), Wrong> {
    rounds_of(text, &DropPageHere)?;
    text.well(format_args!("all CPUs faulted"))
}

/// What a kernel would ask for that takes the instruction for one CPU for that for all.
struct DropPageHere;

impl Broadcasting<DropPageHere> for Port {
    fn broadcast(&self, _: &DropPageHere) -> Result<(), NotBroadcast> {
        page::flush_local();
        Ok(())
    }

    fn do_here(&self, _: &DropPageHere) {
        page::flush_local();
    }
}

fn rounds_of<Q: Sync>(text: &mut Text, request: &Q) -> Result<(), Wrong>
where
    Port: Broadcasting<Q>,
{
    (1..=ROUNDS)
        .try_for_each(|value| round(text, value, |_| (), |text| by_broadcast(text, request)).map(drop))
}

fn by_broadcast<Q: Sync>(text: &mut Text, request: &Q) -> Result<(), Wrong>
where
    Port: Broadcasting<Q>,
{
    let cpus = cpus::count();
    let before = SMP.platform().rings();
    let answer = SMP.broadcast(To::If(&mut |cpu| cpu < cpus), request);
    let rings = SMP.platform().rings() - before;
    match answer {
        Ok(Broadcast { by_hardware, by_call: 0, offline: 0, .. }) if (by_hardware, rings) == (cpus, 0) => {
            Ok(())
        }
        Ok(Broadcast { by_hardware: 0, by_call, offline: 0, .. })
            if by_call == cpus && page::FLUSH_ALL.is_none() =>
        {
            Ok(())
        }
        other => Err(text.wrong(format_args!("with {rings} rings, the broadcast came to {other:?}"))),
    }
}

fn by_calls(text: &mut Text) -> Result<(), Wrong> {
    match SMP.call_many(To::All, page::flush_local) {
        Ok(_) => Ok(()),
        Err(error) => Err(text.wrong(format_args!("the multicast was refused: {error}"))),
    }
}

/// One round, told step by step.
pub(super) fn demo(text: &mut Text) -> Result<(), Wrong> {
    let stale = round(text, 7, |step| println!("{step}"), by_calls)?;
    text.well(format_args!("{stale} old translations were thrown out"))
}

/// Maps, has every CPU read, unmaps, has every CPU throw its translation out; then every CPU must fault. Returns how many
/// still read the page when it was unmapped.
fn round(
    text: &mut Text,
    value: u64,
    tell: fn(fmt::Arguments<'_>),
    shoot_down: impl FnOnce(&mut Text) -> Result<(), Wrong>,
) -> Result<u32, Wrong> {
    let cpus = cpus::count();
    page::map(value);
    let (read, _) = on_all(page::read);
    tell(format_args!("the page is mapped: {} of {cpus} CPUs read {value} there", read / value));
    if read != u64::from(cpus) * value {
        return Err(text.wrong(format_args!("round {value}: {cpus} CPUs read {read} in all")));
    }
    page::unmap();
    // Until they are told, they may go on reading there.
    let (_, faults_before) = on_all(page::read);
    let stale = cpus - faults_before;
    tell(format_args!("it is unmapped: {stale} of {cpus} CPUs still read it, by their old translation"));
    shoot_down(text)?;
    let (_, faults) = on_all(page::read);
    tell(format_args!("every CPU was told to throw its translation out: {faults} of {cpus} fault"));
    if faults != cpus {
        return Err(text.wrong(format_args!("round {value}: {faults} of {cpus} CPUs faulted")));
    }
    Ok(stale)
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
