//! A post from a signal's handler, which is to a thread what an NMI is to a CPU: it comes between any two instructions, and may take
//! no lock. It keeps what it found in memory of its own, and posts; the function handles it where locks may be taken.
//!
//! `cargo run -p smpcall-host --example from_a_handler`

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};
use smpcall_host::Machine;
use smpcall_host::smpcall::{Csd, Posted};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

static MACHINE: OnceLock<Machine> = OnceLock::new();

/// What handlers found: a bit each, since they may not allocate.
static FOUND: AtomicU32 = AtomicU32::new(0);
/// Where it goes, behind a lock that no handler may take.
static LOG: Mutex<Vec<u32>> = Mutex::new(Vec::new());

static REPORT: Csd<fn()> = Csd::new(|| {
    let found = FOUND.swap(0, Ordering::Relaxed);
    LOG.lock().expect("nobody panics with it").push(found);
});

static TOLD_BUSY: AtomicU32 = AtomicU32::new(0);

extern "C" fn handler(_: i32) {
    // Relaxed: the post publishes it, if it is told Busy as well (P2).
    FOUND.fetch_add(1, Ordering::Relaxed);
    let Some(machine) = MACHINE.get() else { return };
    // P9: no lock, no allocation, whatever it has interrupted.
    match machine.post(0, &REPORT) {
        Ok(Posted::Queued) => {}
        Ok(Posted::Busy { .. }) => _ = TOLD_BUSY.fetch_add(1, Ordering::Relaxed),
        Err(_) => std::process::abort(), // nobody would hear of it
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machine = MACHINE.get_or_init(|| Machine::builder().owned(1).build().expect("a thread"));
    let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: it touches atomics and posts, and leaves errno as a ring does: as it was.
    unsafe { sigaction(Signal::SIGUSR1, &action) }?;
    for _ in 0..1_000 {
        raise(Signal::SIGUSR1)?;
    }
    machine.wait(&REPORT)?;
    let log = LOG.lock().expect("nobody panics with it");
    // Whoever was told Busy was seen by the run that was still to come: nothing is missing, and nothing was counted twice.
    assert_eq!(log.iter().sum::<u32>(), 1_000);
    println!("1,000 signals, {} of them told Busy, {} reports", TOLD_BUSY.load(Ordering::Relaxed), log.len());
    assert!(log.len() as u32 + TOLD_BUSY.load(Ordering::Relaxed) == 1_000);
    Ok(())
}
