//! Waiting calls.

use super::Came;
use crate::soak::entries::Urgency;
use crate::soak::shared_state::Use;
use crate::soak::tally::{Check, Event};
use crate::soak::{Rig, Worker};
use smpcall::{CallError, Platform};

/// How many words a call borrows: two lines.
const BORROWED: usize = 16;

/// What a call's function writes for its caller: one number after another.
fn write(borrowed: &mut [usize; BORROWED], number: usize) {
    borrowed.iter_mut().zip(number..).for_each(|(word, value)| *word = value);
}

/// A waiting call that borrows, and gives back a result.
pub(super) fn call<R: Rig>(worker: &mut Worker<R>) -> Came {
    let target = worker.partner();
    call_to(worker, target)
}

fn call_to<R: Rig>(worker: &mut Worker<R>, target: u32) -> Came {
    let (soak, poster, number) = (worker.soak, worker.poster, worker.next_call());
    // In call context a call to another CPU is refused, whichever CPU that is.
    let nested = worker.partner();
    let tries_nested = worker.one_in(16);
    let mut borrowed = [0; BORROWED];
    worker.says_whom_it_calls(Some(target));
    let answer = soak.smp().call(target, || {
        let inside = soak.begin(Some(target));
        poster.calls.ran(soak, target, number);
        if poster.cpu.is_some_and(|caller| soak.cpu(target).calling.get() == caller as usize + 1) {
            soak.event(target as usize, Event::Crossed, 1);
        }
        if tries_nested && inside.here.is_some_and(|here| here != nested) {
            let refused = soak.smp().call(nested, || ());
            soak.expect(
                target as usize,
                Check::Deadlock,
                refused == Err(CallError::WouldDeadlock),
                format_args!("a call from inside a call, to CPU {nested}, was not refused: {refused:?}"),
            );
        }
        write(&mut borrowed, number);
        soak.dawdle(number);
        number * 3
    });
    judge(worker, "call", (target, number), &borrowed, answer)
}

/// What call `number` to `target` came to: its result and what it wrote, or a refusal, and then it has not run.
fn judge<R: Rig>(
    worker: &mut Worker<R>,
    kind: &str,
    (target, number): (u32, usize),
    borrowed: &[usize; BORROWED],
    answer: Result<usize, CallError>,
) -> Came {
    worker.says_whom_it_calls(None);
    let wrote = borrowed.iter().zip(number..).all(|(word, value)| *word == value);
    match answer {
        Ok(result) => {
            worker.expect(
                Check::Done,
                wrote && result == number * 3,
                format_args!("{kind} {number} to CPU {target} gave {result}, and wrote {borrowed:?}"),
            );
            Came::Done
        }
        Err(CallError::Offline) => {
            worker.expect(Check::Hotplug, !wrote, format_args!("a {kind} that CPU {target} refused has run"));
            worker.offline()
        }
        Err(error) => worker.refused(format_args!("a {kind} from thread context: {error}")),
    }
}

/// A call to the thread's own CPU, and a post to it, which its next flushes must run.
pub(super) fn own<R: Rig>(worker: &mut Worker<R>) -> Came {
    let Some(cpu) = worker.poster.cpu else { return Came::NotHere };
    let came = call_to(worker, cpu);
    let own = worker.poster.own(Use::Waited);
    if !own.is_settled() || !worker.is_online() {
        return came;
    }
    let posted = worker.came(own.post_next(cpu, Urgency::Now), own);
    let mut ran = 0;
    while posted == Came::Done && !own.is_settled() {
        // A flush that runs nothing has nothing to run: then the csd is lost.
        match worker.poll() {
            0 => break,
            more => ran += more,
        }
    }
    worker.expect(
        Check::ExactlyOnce,
        posted != Came::Done || own.is_settled(),
        format_args!("a post of CPU {cpu} to itself did not run in its own flush, {ran} others did"),
    );
    worker.check_seen(own);
    posted
}

/// A call whose function panics: the panic is the caller's, and the target goes on (P11).
pub(super) fn panic<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (soak, target) = (worker.soak, worker.partner());
    if !R::UNWINDS {
        return Came::NotHere;
    }
    let number = worker.next_call();
    let throw = || -> usize {
        let _inside = soak.begin(Some(target));
        soak.rig.throw(number)
    };
    worker.says_whom_it_calls(Some(target));
    let outcome = R::Platform::catch(|| soak.smp().call(target, throw));
    worker.says_whom_it_calls(None);
    let (came, right) = match outcome {
        Err(panic) => (Came::Done, R::thrown(panic) == Some(number)),
        Ok(Err(CallError::Offline)) => (worker.offline(), true),
        Ok(_) => (Came::Refused, false),
    };
    worker.expect(
        Check::Memory,
        right,
        format_args!("a panic on CPU {target} came back as another, or as none"),
    );
    came
}

/// A call that may block: its function runs in the target's thread, and sometimes waits in turn.
pub(super) fn blocking<R: Rig>(worker: &mut Worker<R>) -> Came {
    let (soak, target, number) = (worker.soak, worker.partner(), worker.next_call());
    let (onward, how) = (worker.partner(), worker.below(8));
    let mut borrowed = [0; BORROWED];
    worker.says_whom_it_calls(Some(target));
    let answer = soak.smp().call_blocking(target, || {
        let _inside = soak.begin(Some(target));
        // Outside call context no wait is refused, wherever to.
        let waited = match how {
            0 => soak.smp().call(onward, || ()),
            1 => soak.smp().call_blocking(onward, || ()),
            _ => Ok(()),
        };
        soak.expect(
            target as usize,
            Check::Deadlock,
            matches!(waited, Ok(()) | Err(CallError::Offline)),
            format_args!("a call from a function that may block, to CPU {onward}: {waited:?}"),
        );
        write(&mut borrowed, number);
        soak.dawdle(number);
        number * 3
    });
    judge(worker, "blocking call", (target, number), &borrowed, answer)
}
