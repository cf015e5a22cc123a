//! The end of a machine, and functions that panic: a panic reaches who waits for its function; of others `on_panic` is told; and what
//! was accepted before the end runs.
//!
//! `cargo run -p smpcall-host --example shutdown`

use smpcall_host::Machine;
use smpcall_host::smpcall::CallError;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

static RUNS: AtomicU32 = AtomicU32::new(0);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, told) = mpsc::channel();
    let machine = Machine::builder().owned(2).on_panic(move |cpu, _| _ = tell.send(cpu)).build()?;

    // Somebody waits: the panic goes on in the caller. (`resume_unwind`: a panic whose message is not printed.)
    let caught = catch_unwind(|| machine.call(0, || -> u32 { resume_unwind(Box::new("no such key")) }));
    let thrown = caught.expect_err("the function has panicked");
    assert_eq!(thrown.downcast_ref(), Some(&"no such key"));
    // The CPU goes on.
    assert_eq!(machine.call(0, || 5), Ok(5));

    // Nobody waits: the handler is told, and the panic is counted.
    machine.post_detached(1, || resume_unwind(Box::new("nobody waits")))?;
    assert_eq!(told.recv()?, 1);
    assert_eq!(machine.counts().panics, 1);

    // What was accepted runs before the end (P8), whoever waits for it or not.
    for _ in 0..10 {
        machine.post_boxed(1, || _ = RUNS.fetch_add(1, Ordering::Relaxed))?;
    }
    machine.shutdown_timeout(Duration::from_secs(60))?;
    assert_eq!(RUNS.load(Ordering::Relaxed), 10);
    // From then on a call is refused, and hangs nowhere.
    assert_eq!(machine.call(0, || 5), Err(CallError::Offline));
    println!("two panics, ten runs, and the end");
    Ok(())
}
