//! A round trip through the kernel, both sides asleep.

use super::{Between, STOP};
use crate::pace::{Line, linger_until};
use crate::samples::Sample;
use anyhow::{Result, ensure};
use smpcall_host::futex;
use smpcall_host::smpcall::Csd;
use std::sync::atomic::{AtomicU32, Ordering};

static WORD: Line<AtomicU32> = Line(AtomicU32::new(0));

static PARTNER: Csd<fn()> = Csd::new(partner);

/// One round trip, both ways through the kernel.
pub(super) fn round_trip(between: &Between<'_>) -> Result<Sample> {
    between.machine.post(between.target, &PARTNER)?;
    // Acquire: the partner is about to sleep.
    let began = between.pace.wait_until(|| WORD.0.load(Ordering::Acquire) == 2);
    ensure!(began, "the floor's partner did not come");
    between.pace.settle();
    let sample = Sample::time(1, || {
        send(1);
        wait_while(1);
    });
    send(STOP);
    // Acquire: the partner does not look at the word any more.
    let stopped = linger_until(|| WORD.0.load(Ordering::Acquire) == 0);
    ensure!(stopped, "the floor's partner did not come back");
    Ok(sample)
}

fn partner() {
    send(2);
    loop {
        wait_while(2);
        // Acquire: as `wait_while`.
        if WORD.0.load(Ordering::Acquire) == STOP {
            break;
        }
        send(2);
    }
    // Release: says that we are done.
    WORD.0.store(0, Ordering::Release);
}

fn send(word: u32) {
    // Release: what a doorbell needs at the least.
    WORD.0.store(word, Ordering::Release);
    futex::wake_one(&WORD.0);
}

fn wait_while(word: u32) {
    // Acquire: what a doorbell needs at the least.
    while WORD.0.load(Ordering::Acquire) == word {
        // Interrupted, or changed meanwhile: the loop looks again.
        futex::wait(&WORD.0, word, None);
    }
}
