//! A watchdog: which CPU does not come forward, and which function holds it, also when nobody waits for that CPU.
//!
//! `cargo run -p smpcall-host --example watchdog`

use smpcall_host::Machine;
use smpcall_host::smpcall::{Csd, Watch};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const TIMEOUT_NS: u64 = 10_000_000;

static STUCK: AtomicBool = AtomicBool::new(true);
/// A function that does not return, until it is told to.
static SPIN: Csd<fn()> = Csd::new(spin);
static BEHIND: Csd<fn()> = Csd::new(|| ());

fn spin() {
    while STUCK.load(Ordering::Acquire) {
        thread::yield_now();
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (tell, told) = mpsc::channel();
    let machine =
        Machine::builder().owned(2).on_queue_stall(move |stall| _ = tell.send(stall.to_string())).build()?;
    machine.post(1, &SPIN)?;
    machine.post(1, &BEHIND)?;

    // In a program this is a thread that looks once a second. It knows of a CPU that holds still from its second look on.
    let mut notes = [Watch::new(); 2];
    let since = Instant::now();
    let report = loop {
        machine.watchdog(TIMEOUT_NS, &mut notes);
        match told.try_recv() {
            Ok(report) => break report,
            Err(_) => assert!(since.elapsed() < Duration::from_secs(60), "a stuck CPU is not found"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    println!("{report}");
    assert!(report.starts_with("CPU 1 has run the function at 0x"), "{report}");
    // The address is a function's: a debugger, or `addr2line`, names it.
    assert!(machine.running_racy(1).is_some() && machine.running_racy(0).is_none());

    STUCK.store(false, Ordering::Release);
    machine.wait(&BEHIND)?;
    assert_eq!(machine.watchdog(TIMEOUT_NS, &mut notes), 0);
    Ok(())
}
