//! Multicasts.

use super::super::tally::{Check, Event};
use super::super::words::Plain;
use super::super::worker::Worker;
use smpcall_host::smpcall::{CallError, CpuMask, ManyError, Reached, To};

/// A multicast that waits: to all, all others, a mask, a condition, or as many as are idle. Each CPU that was reached has run
/// it once, and what it wrote is there (P1, P4).
pub(super) fn many(worker: &mut Worker) {
    let (ground, number) = (worker.ground(), worker.next_call());
    let cpus = ground.cpus_len();
    let wrote: Vec<Plain> = (0..cpus).map(|_| Plain::default()).collect();
    let strays = Plain::default();
    let function = || {
        let inside = ground.begin(None);
        match inside.here {
            // Two runs on one CPU show as a number that nobody wrote.
            Some(here) => wrote[here as usize].raise(wrote[here as usize].read() + number),
            None => _ = strays.write_next(),
        }
        ground.dawdle(number);
    };
    let seed = worker.rng.u64(..);
    let chosen = |cpu: u32| seed >> (cpu % 64) & 1 != 0;
    let mut words = vec![0; (cpus as usize).div_ceil(usize::BITS as usize)];
    let mask = CpuMask::from_words_mut(&mut words);
    let answer = match worker.rng.u8(..6) {
        0 => ground.machine.call_many(To::All, function),
        1 => ground.machine.call_many(To::Others, function),
        2 => {
            (0..cpus).filter(|cpu| chosen(*cpu)).for_each(|cpu| _ = mask.insert(cpu));
            ground.machine.call_many(To::Mask(mask), function)
        }
        3 => ground.machine.call_many(To::If(&mut |cpu| chosen(cpu)), function),
        4 => ground.machine.call_many_idle(To::All, mask, function),
        _ => ground.machine.kick_all_cpus_sync(),
    };
    check(worker, number, answer, &wrote, strays.read());
}

fn check(worker: &Worker, number: u64, answer: Result<Reached, ManyError>, wrote: &[Plain], strays: u64) {
    let ran = wrote.iter().filter(|word| word.read() == number).count() as u64;
    let wrong = wrote.iter().filter(|word| ![0, number].contains(&word.read())).count() as u64 + strays;
    match answer {
        Ok(reached) => {
            for _ in 0..reached.offline {
                worker.event(Event::Offline);
            }
            // A kick runs no function of ours.
            let kicked = ran == 0 && wrong == 0;
            worker.expect(Check::Done, kicked || wrong == 0 && ran == u64::from(reached.ran), || {
                format!("a multicast that reached {reached:?} ran on {ran} CPUs, and wrongly on {wrong}")
            });
        }
        Err(error) => {
            worker.expect(Check::Deadlock, false, || format!("a multicast from thread context: {error}"));
        }
    }
}

/// A multicast that does not wait.
pub(super) fn scatter(worker: &mut Worker) {
    let seed = worker.rng.u64(..);
    worker.kit.scatter.post_many(|cpu| seed >> (cpu % 64) & 1 != 0);
}

/// A waiting call to whichever CPU of a mask is nearest.
pub(super) fn nearest(worker: &mut Worker) {
    let (ground, number) = (worker.ground(), worker.next_call());
    let mut words = vec![0; (ground.cpus_len() as usize).div_ceil(usize::BITS as usize)];
    let mask = CpuMask::from_words_mut(&mut words);
    for _ in 0..2 {
        mask.insert(worker.partner());
    }
    let answer = ground.machine.call_nearest(mask, || (ground.begin(None).here, number + 1));
    match answer {
        Ok((Some(here), result)) => {
            worker.expect(Check::Done, mask.contains(here) && result == number + 1, || {
                format!("a call to the nearest of {mask:?} ran on CPU {here}, and gave {result}")
            });
        }
        Err(CallError::Offline) => worker.event(Event::Offline),
        other => worker.wrong(format!("a call to the nearest of {mask:?}: {other:?}")),
    }
}
