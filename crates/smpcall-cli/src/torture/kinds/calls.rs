//! Waiting calls.

use super::super::csds::Outcome;
use super::super::tally::{Check, Event};
use super::super::worker::Worker;
use smpcall_host::smpcall::{Budget, CallError};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// How many words a call borrows: two lines.
const BORROWED: usize = 16;

/// A waiting call that borrows, and gives back a result.
pub(super) fn call(worker: &mut Worker) {
    let target = worker.partner();
    call_to(worker, target);
}

fn call_to(worker: &mut Worker, target: u32) {
    let (ground, kit, number) = (worker.ground(), worker.kit, worker.next_call());
    // In call context a call to another CPU is refused, whichever CPU that is.
    let nested = worker.partner();
    let tries_nested = worker.rng.u8(..) < 16;
    let mut borrowed = [0_u64; BORROWED];
    worker.says_whom_it_calls(target);
    let answer = ground.machine.call(target, || {
        let inside = ground.begin(Some(target));
        kit.calls.ran(ground, target, number);
        if kit.cpu.is_some_and(|caller| ground.cpu(target).calling.get() == u64::from(caller) + 1) {
            ground.tally.event(target as usize, Event::Crossed, 1);
        }
        if tries_nested && inside.here.is_some_and(|here| here != nested) {
            let refused = ground.machine.call(nested, || ());
            let right = refused == Err(CallError::WouldDeadlock);
            ground.tally.expect(target as usize, Check::Deadlock, right, || {
                format!("a call from inside a call, to CPU {nested}, was not refused: {refused:?}")
            });
        }
        for (word, index) in borrowed.iter_mut().zip(0..) {
            *word = number + index;
        }
        ground.dawdle(number);
        number * 3
    });
    judge(worker, "call", (target, number), &borrowed, answer);
}

/// What call `number` to `target` came to: its result and what it wrote, or a refusal, and then it has not run.
fn judge(
    worker: &mut Worker,
    kind: &str,
    (target, number): (u32, u64),
    borrowed: &[u64; BORROWED],
    answer: Result<u64, CallError>,
) {
    worker.says_it_calls_nobody();
    let wrote = borrowed.iter().zip(0..).all(|(word, index)| *word == number + index);
    match answer {
        Ok(result) => worker.expect(Check::Done, wrote && result == number * 3, || {
            format!("{kind} {number} to CPU {target} gave {result}, and wrote {borrowed:?}")
        }),
        Err(CallError::Offline) => {
            worker.event(Event::Offline);
            worker.expect(Check::Hotplug, !wrote, || format!("a call that CPU {target} refused has run"))
        }
        Err(error) => {
            worker.expect(Check::Deadlock, false, || format!("a {kind} from thread context: {error}"))
        }
    };
}

/// A call to the thread's own CPU, and a post to it, which its next flushes must run.
pub(super) fn own(worker: &mut Worker) {
    let Some(cpu) = worker.kit.cpu else { return };
    call_to(worker, cpu);
    let own = &worker.kit.waited;
    if !own.is_settled() || worker.attached.is_none() {
        return;
    }
    let posted = own.post_next(cpu);
    worker.complain_if_wrong(posted, own, cpu);
    let mut ran = 0;
    while posted == Outcome::Due && !own.is_settled() {
        // A flush that runs nothing has nothing to run: then the csd is lost.
        let Some(attached) = &worker.attached else { return };
        let Some(more) = worker.poll(attached, Budget::DEFAULT) else { break };
        ran += more;
    }
    let done = posted != Outcome::Due || own.is_settled();
    worker.expect(Check::ExactlyOnce, done, || {
        format!("a post of CPU {cpu} to itself did not run in its own flush, {ran} others did")
    });
    worker.check_seen(own);
}

/// A call whose function panics: the panic is the caller's, and the target goes on (P11).
pub(super) fn panic(worker: &mut Worker) {
    let (ground, target, number) = (worker.ground(), worker.partner(), worker.next_call());
    // Unwinds as a panic does, without the message on standard error.
    let throw = || -> u64 {
        let _inside = ground.begin(Some(target));
        resume_unwind(Box::new(number))
    };
    worker.says_whom_it_calls(target);
    let outcome = catch_unwind(AssertUnwindSafe(|| ground.machine.call(target, throw)));
    worker.says_it_calls_nobody();
    match outcome {
        Err(payload) => {
            let right = payload.downcast_ref::<u64>() == Some(&number);
            worker.expect(Check::Memory, right, || "another panic than the function's".to_owned());
        }
        Ok(Err(CallError::Offline)) => worker.event(Event::Offline),
        Ok(answer) => {
            worker
                .expect(Check::Memory, false, || format!("a panic on CPU {target} came back as {answer:?}"));
        }
    }
}

/// A call that may block: its function runs in the target's thread, and sometimes waits in turn.
pub(super) fn blocking(worker: &mut Worker) {
    let (ground, target, number) = (worker.ground(), worker.partner(), worker.next_call());
    let (onward, how) = (worker.partner(), worker.rng.u8(..8));
    let mut borrowed = [0_u64; BORROWED];
    worker.says_whom_it_calls(target);
    let answer = ground.machine.call_blocking(target, || {
        let _inside = ground.begin(Some(target));
        // Outside call context no wait is refused, wherever to.
        let waited = match how {
            0 => ground.machine.call(onward, || ()),
            1 => ground.machine.call_blocking(onward, || ()),
            _ => Ok(()),
        };
        let right = matches!(waited, Ok(()) | Err(CallError::Offline));
        ground.tally.expect(target as usize, Check::Deadlock, right, || {
            format!("a call from a function that may block, to CPU {onward}: {waited:?}")
        });
        borrowed.iter_mut().zip(0..).for_each(|(word, index)| *word = number + index);
        ground.dawdle(number);
        number * 3
    });
    judge(worker, "blocking call", (target, number), &borrowed, answer);
}
