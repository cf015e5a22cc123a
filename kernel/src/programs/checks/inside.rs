//! Interrupts that arrive while a post is under way on the same CPU, and post the same csd (P1, P2, P3).

use super::{Text, Wrong};
use crate::arch;
use crate::cpus;
use crate::idle;
use crate::machine::SMP;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use smpcall::{Csd, Posted};

const INTERRUPTS: u32 = 300;

static CSD: Csd<fn()> = Csd::new(run_of_it);
static RUNS: AtomicU64 = AtomicU64::new(0);
/// Posts that were accepted: each is one run.
static ACCEPTED: AtomicU64 = AtomicU64::new(0);
/// What posters write, and what the last run saw of it. Relaxed: it is the posts that publish it.
static WRITTEN: AtomicU64 = AtomicU64::new(0);
static SEEN: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);
static TARGET: AtomicU32 = AtomicU32::new(0);
/// Whether the check is under way: other alarms are not its business.
static ON: AtomicBool = AtomicBool::new(false);
/// Whether the thread is inside `post`, and how many interrupts came then.
static POSTING: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicU32 = AtomicU32::new(0);
static CAME: AtomicU32 = AtomicU32::new(0);

fn run_of_it() {
    // Relaxed: it is the posts that publish it.
    SEEN.fetch_max(WRITTEN.load(Ordering::Relaxed), Ordering::Relaxed);
    // Release: pairs with the wait for the last run.
    RUNS.fetch_add(1, Ordering::Release);
}

fn post() {
    // Relaxed: what is written, the post publishes; the rest are figures.
    WRITTEN.fetch_add(1, Ordering::Relaxed);
    match SMP.post(TARGET.load(Ordering::Relaxed), &CSD) {
        Ok(Posted::Queued) => _ = ACCEPTED.fetch_add(1, Ordering::Relaxed),
        Ok(Posted::Busy { .. }) => {}
        Err(_) => _ = REFUSED.fetch_add(1, Ordering::Relaxed),
    }
}

/// The alarm's interrupt.
pub(super) fn alarm() {
    // Relaxed: the thread and its own interrupts are one CPU.
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    if POSTING.load(Ordering::Relaxed) {
        INSIDE.fetch_add(1, Ordering::Relaxed);
    }
    post();
    // Relaxed: as above.
    CAME.fetch_add(1, Ordering::Relaxed);
}

/// The thread posts without a pause; alarms at odd times interrupt it, and post too.
pub(super) fn run(text: &mut Text) -> Result<(), Wrong> {
    // Relaxed: the post publishes the first; the others are this CPU's own.
    TARGET.store(cpus::count() - 1, Ordering::Relaxed);
    ON.store(true, Ordering::Relaxed);
    for round in 0..INTERRUPTS {
        let due = CAME.load(Ordering::Relaxed) + 1;
        // Around the time that a post takes, and different each time.
        arch::set_alarm(u64::from(round * 37 % 1000) * 10);
        // Relaxed: as above.
        while CAME.load(Ordering::Relaxed) < due {
            POSTING.store(true, Ordering::Relaxed);
            post();
            POSTING.store(false, Ordering::Relaxed);
        }
    }
    // Relaxed: as above.
    ON.store(false, Ordering::Relaxed);
    // Acquire: pairs with `run_of_it`.
    idle::until(&SMP, || {
        RUNS.load(Ordering::Acquire) >= ACCEPTED.load(Ordering::Relaxed) && !CSD.is_pending()
    });
    // Acquire, Relaxed: the runs first; what they wrote is seen then.
    let (runs, accepted) = (RUNS.load(Ordering::Acquire), ACCEPTED.load(Ordering::Relaxed));
    let (seen, written) = (SEEN.load(Ordering::Relaxed), WRITTEN.load(Ordering::Relaxed));
    let inside = INSIDE.load(Ordering::Relaxed);
    if runs != accepted || seen != written || REFUSED.load(Ordering::Relaxed) != 0 {
        return Err(text.wrong(format_args!(
            "{accepted} posts were accepted and {runs} ran; {written} were written and {seen} seen"
        )));
    }
    if inside == 0 {
        return Err(text.wrong(format_args!("none of {INTERRUPTS} interrupts came inside a post")));
    }
    text.well(format_args!(
        "{inside} of {INTERRUPTS} interrupts came inside a post; {written} posts, {accepted} accepted, {runs} runs"
    ))
}
