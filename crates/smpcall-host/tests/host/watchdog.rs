//! P10: what nobody waits for, the end of a stall, and the end of everything.

use crate::site::{Flag, Site, beside, bounded, counted, eventually, hold};
use smpcall_host::Machine;
use smpcall_host::smpcall::{CallStall, Phase, QueueStall, Reporting, StallCause, To, Watch};
use std::collections::HashSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

#[test]
fn p10_the_watchdog_finds_a_function_that_does_not_return_and_its_end() {
    let _bounded = bounded();
    let reports = Arc::new(Mutex::new(Vec::<QueueStall>::new()));
    let told = Arc::clone(&reports);
    let builder = Machine::builder().owned(2);
    let site = Site::new(builder.on_queue_stall(move |stall| told.lock().unwrap().push(*stall)));
    let csd = counted(|| ());
    let held = hold(&site, 1);
    eventually(|| site.running_racy(1).is_some());
    let func = site.running_racy(1).unwrap();
    site.post(1, &csd).unwrap();
    let mut notes = [Watch::new(); 2];
    eventually_mut(|| site.watchdog(1_000_000, &mut notes) == 1);
    let first = reports.lock().unwrap()[0];
    assert_eq!((first.cpu, first.cause, first.reports), (1, StallCause::Behind(func), 0));
    assert!(first.for_ns >= 1_000_000, "{first}");
    drop(held);
    site.wait(&csd).unwrap();
    eventually_mut(|| site.watchdog(1_000_000, &mut notes) == 0);
    let last = *reports.lock().unwrap().last().unwrap();
    assert_eq!((last.cpu, last.cause), (1, StallCause::Over), "{last}");
}

fn eventually_mut(mut done: impl FnMut() -> bool) {
    let done = std::cell::RefCell::new(&mut done);
    eventually(|| (done.borrow_mut())());
}

#[test]
fn p10_who_was_reported_is_said_to_be_unstuck() {
    let _bounded = bounded();
    let stalls = Arc::new(Mutex::new((0_u32, Vec::<CallStall>::new())));
    let (told, told_too) = (Arc::clone(&stalls), Arc::clone(&stalls));
    let builder = Machine::builder().owned(1).stall_timeout(Duration::from_millis(2));
    let builder = builder.on_call_stall(move |_| told.lock().unwrap().0 += 1);
    let site = Site::new(builder.on_unstuck(move |stall| told_too.lock().unwrap().1.push(*stall)));
    let let_go = Flag::default();
    let later = || {
        eventually(|| stalls.lock().unwrap().0 >= 1);
        let_go.set();
    };
    beside(later, || site.call(0, || let_go.wait())).unwrap();
    let (reports, unstuck) = stalls.lock().unwrap().clone();
    assert_eq!(unstuck.len(), 1);
    assert_eq!((unstuck[0].target, unstuck[0].phase, unstuck[0].reports), (0, Phase::Over, reports));
}

#[test]
fn p10_the_defaults_are_linuxs() {
    let site = Site::new(Machine::builder().attachable(1));
    assert_eq!(site.platform().stall_timeout_ns(), 5_000_000_000);
    assert_eq!(site.platform().stall_stop_ns(), 0, "never");
    let site = Site::new(Machine::builder().attachable(1).stall_stop(Duration::MAX));
    assert_eq!(site.platform().stall_stop_ns(), u64::MAX, "never, too");
}

/// A process that is to end by its own stall. Run only by the test below.
#[test]
#[ignore = "ends its process, as it should"]
fn child_that_waits_for_ever() {
    let machine = Machine::builder().attachable(1).stall_stop(Duration::from_millis(5)).build().unwrap();
    let _here = machine.attach(0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| machine.call(0, || ()));
        std::thread::sleep(Duration::from_secs(3600));
    });
}

/// Runs such a child; it must not end by itself, or as a test that failed. Returns what it said.
fn aborts(child: &str) -> String {
    let itself = std::env::current_exe().unwrap();
    let name = format!("watchdog::{child}");
    let output = Command::new(itself).args(["--exact", &name, "--ignored", "--nocapture"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), None, "ended by a signal: {said}");
    said
}

/// What a report panics with must not unwind past frames that CPU 0 may still reach.
#[test]
fn p11_reports_that_panic_are_counted_and_the_wait_goes_on() {
    let _bounded = bounded();
    let builder = Machine::builder().attachable(1).stall_timeout(Duration::from_millis(5));
    let [stalled, unstuck] = [(); 2].map(|()| Arc::new(Mutex::new(HashSet::new())));
    let panics = |told: &Arc<Mutex<HashSet<ThreadId>>>| {
        let told = Arc::clone(told);
        move |_: &CallStall| {
            told.lock().unwrap().insert(thread::current().id());
            std::panic::resume_unwind(Box::new("meant"));
        }
    };
    let builder = builder.on_call_stall(panics(&stalled)).on_unstuck(panics(&unstuck));
    let site = Site::new(builder);
    let mut here = site.attach(0).unwrap();
    std::thread::scope(|scope| {
        let many = scope.spawn(|| site.call_many(To::All, || ()).map(|reached| reached.ran));
        let one = scope.spawn(|| site.call(0, || 7));
        eventually(|| stalled.lock().unwrap().len() == 2);
        while !(many.is_finished() && one.is_finished()) {
            here.park(Some(Duration::from_millis(1)));
        }
        assert_eq!((many.join().unwrap(), one.join().unwrap()), (Ok(1), Ok(7)));
    });
    assert_eq!(
        *unstuck.lock().unwrap(),
        *stalled.lock().unwrap(),
        "a report that panicked is not the thread's last"
    );
    assert!(site.counts().panics >= 4);
}

#[test]
fn p10_a_stop_ends_the_process_and_says_why() {
    let _bounded = bounded();
    let said = aborts("child_that_waits_for_ever");
    assert!(said.contains("a thread has waited") && said.contains("for CPU 0"), "{said}");
    assert!(said.contains("this is the end"), "{said}");
}
