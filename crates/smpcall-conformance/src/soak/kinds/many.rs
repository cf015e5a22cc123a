//! Multicasts.

use super::Came;
use crate::soak::shared_state::Use;
use crate::soak::tally::{Check, Event};
use crate::soak::words::{Count, Plain};
use crate::soak::{Rig, Worker};
use smpcall::{CPUS_MAX, CallError, CpuSet, ManyError, To};

const BITS: usize = usize::BITS as usize;
const WORDS: usize = CPUS_MAX / BITS;
/// As many results as are brought back.
const RESULTS_MAX: usize = 64;

/// A multicast that waits: to all, all others, a mask, a condition, as many as are idle, or with work of the caller's. Each CPU that was reached has run
/// it once, and what it wrote is there (P1, P4).
pub(super) fn many<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (soak, number) = (worker.soak, worker.next_call());
    let (smp, cpus) = (soak.smp(), soak.cpus_len());
    let wrote = [const { Plain::new(0) }; WORDS];
    let strays = Count::new();
    let function = || {
        let inside = soak.begin(None);
        // On no CPU, or twice on one, is once too often.
        let here = inside.here.unwrap_or(u32::MAX) as usize;
        let bit = 1 << (here % BITS);
        if wrote.get(here / BITS).is_none_or(|word| word.set_bits(bit) & bit != 0) {
            strays.add(1);
        }
        soak.dawdle(number);
    };
    let chosen = worker.choice();
    let how = worker.below(7);
    let worked = Count::new();
    let mut mask = CpuSet::<WORDS>::new();
    let answer = match how {
        0 => smp.call_many(To::All, function),
        1 => smp.call_many(To::Others, function),
        2 => {
            (0..cpus).filter(|cpu| chosen(*cpu)).for_each(|cpu| _ = mask.insert(cpu));
            smp.call_many(To::Mask(&mask), function)
        }
        3 => smp.call_many(To::If(&mut |cpu| chosen(cpu)), function),
        4 => smp.call_many_idle(To::All, &mut mask, function),
        6 => {
            let work = || {
                soak.dawdle(number);
                worked.add(1);
            };
            smp.call_many_meanwhile(To::All, function, work).map(|(reached, ())| reached)
        }
        _ => smp.kick_all_cpus_sync(),
    };
    let ran: u32 = wrote.iter().map(|word| word.read().count_ones()).sum();
    let reached = match answer {
        Ok(reached) => reached,
        Err(error) => return worker.refused(format_args!("a multicast from thread context: {error}")),
    };
    soak.event(worker.poster.sender.row, Event::Offline, reached.offline as usize);
    // A kick runs no function of ours.
    let due = if how == 5 { 0 } else { reached.ran };
    worker.expect(
        Check::Done,
        ran == due && strays.get() == 0 && (worked.get() == 1) == (how == 6),
        format_args!(
            "a multicast that reached {reached:?} ran on {ran} CPUs, and {} times too often, its caller's work {} times",
            strays.get(),
            worked.get()
        ),
    );
    Came::Done
}

/// A multicast that brings back one result from each CPU that it ran on, and no other.
pub(super) fn map<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (soak, number) = (worker.soak, worker.next_call());
    let mut places = [None; RESULTS_MAX];
    let Some(results) = places.get_mut(..soak.smp().cpus_len() as usize) else { return Came::NotHere };
    let chosen = worker.choice();
    let answer = soak.smp().call_map(To::If(&mut |cpu| chosen(cpu)), results, |cpu| {
        let _inside = soak.begin(Some(cpu));
        number + cpu as usize
    });
    let reached = match answer {
        Ok(reached) => reached,
        Err(error) => return worker.refused(format_args!("a multicast with results: {error}")),
    };
    let came = results.iter().flatten().count();
    let right = results
        .iter()
        .enumerate()
        .all(|(cpu, result)| result.is_none_or(|result| result == number + cpu && chosen(cpu as u32)));
    worker.expect(
        Check::Done,
        right && came == reached.ran as usize,
        format_args!("multicast {number} that reached {reached:?} brought back {results:?}"),
    );
    Came::Done
}

/// A multicast that does not wait.
pub(super) fn scatter<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (soak, kept) = (worker.soak, worker.poster.own(Use::Scatter));
    let (chosen, number) = (worker.choice(), kept.next_kept());
    let mut to = |cpu| kept.knows(cpu) && chosen(cpu);
    match soak.smp().post_many(To::If(&mut to), move || kept.run_kept(None, number)) {
        Ok(reached) => {
            kept.add_due(reached.ran as usize);
            soak.event(worker.poster.sender.row, Event::Offline, reached.offline as usize);
            if reached.ran > 0 { Came::Done } else { Came::Refused }
        }
        Err(error) => {
            worker.event(Event::Busy);
            worker.expect(
                Check::Answer,
                error == ManyError::Full,
                format_args!("a multicast that does not wait was told: {error}"),
            );
            Came::Refused
        }
    }
}

/// A waiting call to whichever CPU of a mask is nearest.
pub(super) fn nearest<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (soak, number) = (worker.soak, worker.next_call());
    let mask: CpuSet<WORDS> = [(); 2].map(|()| worker.partner()).into_iter().collect();
    match soak.smp().call_nearest(&mask, || (soak.begin(None).here, number + 1)) {
        Ok((here, result)) => {
            let right = here.is_some_and(|here| mask.contains(here)) && result == number + 1;
            worker.expect(
                Check::Done,
                right,
                format_args!("a call to the nearest of {:?} ran on CPU {here:?}, and gave {result}", &*mask),
            );
            Came::Done
        }
        Err(CallError::Offline) => worker.offline(),
        Err(error) => worker.refused(format_args!("a call to the nearest of {:?}: {error}", &*mask)),
    }
}
