//! P10: time in which the whole process was stopped is not held against anybody.

use crate::site::{bounded, counted};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use smpcall_host::Machine;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const STOP: Duration = Duration::from_secs(3);

/// A process that waits for a function, and would end by its own stall. Run only by the test below.
#[test]
#[ignore = "waits for who has started it"]
fn child_that_is_stopped() {
    let machine = Machine::builder().owned(1).stall_stop(STOP).build().unwrap();
    let posted = counted(|| ());
    let read = || {
        // For its parent.
        eprintln!("\nruns");
        std::io::stdin().read_exact(&mut [0]).unwrap();
    };
    // Of those who wait, one sleeps until it is woken, and one naps.
    let called = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            machine.call(0, read).unwrap();
            // Relaxed: the scope's end publishes it.
            called.store(true, Ordering::Relaxed);
        });
        while machine.running_racy(0).is_none() {
            thread::yield_now();
        }
        machine.post(0, &posted).unwrap();
        machine.wait(&posted).unwrap();
    });
    assert!(called.into_inner());
}

#[test]
fn p10_a_process_that_is_stopped_does_not_end_when_it_goes_on() {
    let _bounded = bounded();
    let itself = std::env::current_exe().unwrap();
    let args = ["--exact", "stopped::child_that_is_stopped", "--ignored", "--nocapture"];
    let mut child = Command::new(itself)
        .args(args)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stdin, said) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
    let mut lines = BufReader::new(said).lines();
    assert!(lines.any(|line| line.unwrap() == "runs"), "it has begun");
    let signal = |signal| kill(Pid::from_raw(child.id() as i32), signal).unwrap();
    signal(Signal::SIGSTOP);
    thread::sleep(STOP + Duration::from_secs(1));
    signal(Signal::SIGCONT);
    // Time to end by itself, which takes it none; what counts for it is less than this and an eighth of the time-out.
    thread::sleep(Duration::from_millis(300));
    let _ = stdin.write_all(b"x");
    let status = child.wait().unwrap();
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    assert!(status.success(), "{status}: {rest:?}");
}
