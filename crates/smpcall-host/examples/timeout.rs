//! Giving up: a wait with a time-out, and a run that is cancelled before it begins. A waiting `call` never gives up, since its closure
//! may borrow from the caller's stack; what may be given up is a csd that outlives the wait.
//!
//! `cargo run -p smpcall-host --example timeout`

use smpcall_host::Machine;
use smpcall_host::smpcall::{Cancel, Coalesced, Csd, Posted, WaitError};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

static RUNS: AtomicU32 = AtomicU32::new(0);
static REFRESH: Csd<fn()> = Csd::new(|| _ = RUNS.fetch_add(1, Ordering::Relaxed));

/// The CPU is held up by a function that waits for the example; a real one would only be slow.
static HELD: AtomicBool = AtomicBool::new(true);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machine = Machine::builder().owned(1).build()?;
    machine.post_detached(0, || {
        while HELD.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
    })?;

    assert_eq!(machine.post(0, &REFRESH)?, Posted::Queued);
    let WaitError::TimedOut(stall) = machine.wait_timeout(&REFRESH, Duration::from_millis(20)).unwrap_err()
    else {
        return Err("it ended otherwise".into());
    };
    println!("{stall}"); // which CPU, which function, and what it is behind

    // The run is still to come. Nobody else was told Busy, so nobody misses it when it is taken away.
    assert_eq!(REFRESH.cancel(), Cancel::Removed { coalesced: Coalesced::No });
    assert_eq!(REFRESH.cancel(), Cancel::NotPending);
    HELD.store(false, Ordering::Release);

    // The csd is as new once that CPU has flushed. A call to it comes after that flush has passed the csd.
    machine.call(0, || ())?;
    assert_eq!(RUNS.load(Ordering::Relaxed), 0);
    machine.post(0, &REFRESH)?;
    machine.wait_timeout(&REFRESH, Duration::from_secs(60))?;
    assert_eq!(RUNS.load(Ordering::Relaxed), 1);
    println!("one run was cancelled, the next one ran");
    Ok(())
}
