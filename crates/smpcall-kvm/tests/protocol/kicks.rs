//! No kick is lost, and none is sent for nothing.

use crate::bounded::{bounded, eventually};
use crate::fake::{Exit, Fake, Next};
use crate::{attach, machine, spawn};
use smpcall_host::smpcall::Posted;
use smpcall_kvm::Ran;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// The guest is about to be entered, the byte was not looked at yet: then somebody posts, and the signal is delivered before the run
/// begins. Returns what became of the run.
fn kicked_just_before(is_blind: bool) -> Ran<Exit> {
    let machine = Arc::new(machine(1));
    let (ask, asked) = mpsc::channel::<()>();
    let (answer, answered) = mpsc::channel();
    let poster = {
        let machine = Arc::clone(&machine);
        thread::spawn(move || {
            if asked.recv().is_ok() {
                answer.send(machine.post_detached(0, || ())).expect("it waits");
            }
        })
    };
    let guest = Fake {
        before: Box::new(move || {
            ask.send(()).expect("the poster is there");
            answered.recv().expect("it posts").expect("the CPU is online");
            // The signal was sent to this thread, and this was in the kernel since.
            thread::yield_now();
        }),
        is_blind,
        longest: is_blind.then_some(Duration::from_millis(100)),
        ..Fake::new()
    };
    let mut vcpu = attach(&machine, 0, guest);
    let ran = vcpu.run(|exit| exit).expect("it runs");
    drop(vcpu);
    poster.join().expect("it has posted");
    ran
}

#[test]
fn a_kick_just_before_the_guest_is_entered_ends_the_run() {
    let _bounded = bounded();
    for _ in 0..50 {
        assert_eq!(kicked_just_before(false), Ran::Kicked(1));
    }
}

/// What the byte is for: this is how others lose theirs, and why they send them again.
#[test]
fn by_the_signal_alone_it_would_be_lost() {
    let _bounded = bounded();
    assert_eq!(kicked_just_before(true), Ran::Exit(Exit::Slept));
}

/// Calls from several threads to several vCPUs that leave by themselves now and then. Each call that returns was a kick that arrived,
/// or one that was not needed.
#[test]
fn none_of_many_is_lost_and_a_guest_that_leaves_meanwhile_makes_no_difference() {
    const CALLS: u32 = 3_000;
    let _bounded = bounded();
    let (machine, runs) = (machine(3), AtomicU32::new(0));
    thread::scope(|scope| {
        let vcpus: Vec<_> = (0..3_u32)
            .map(|cpu| {
                spawn(scope, &machine, cpu, move || {
                    let mut random = fastrand::Rng::with_seed(cpu.into());
                    let mut next = || Next::Exit(if random.bool() { Exit::Halted } else { Exit::Io(1) });
                    Fake::script((0..500).map(|_| next()))
                })
            })
            .collect();
        let callers: Vec<_> = (0..3_u32)
            .map(|caller| {
                let (machine, runs) = (&machine, &runs);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(u64::from(caller) + 77);
                    for call in 0..CALLS {
                        let cpu = random.u32(0..3);
                        // Relaxed: the call's end makes it visible.
                        let run = || runs.fetch_add(1, Ordering::Relaxed);
                        if random.bool() {
                            machine.call(cpu, run).expect("it is online");
                        } else {
                            machine.call_blocking(cpu, run).expect("it is online");
                        }
                        if call % 64 == 0 {
                            thread::sleep(Duration::from_micros(100));
                        }
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().expect("each call returns"));
        machine.shutdown().expect("this thread is no CPU");
        for vcpu in vcpus {
            let (guest, exits) = vcpu.join().expect("it ends");
            assert_eq!((guest.next.len(), exits), (0, 500), "it left as often as it was to");
        }
    });
    // Relaxed: all have ended.
    assert_eq!(runs.load(Ordering::Relaxed), 3 * CALLS);
}

#[test]
fn one_signal_ends_a_run_and_a_thread_that_is_out_of_the_guest_is_sent_none() {
    let _bounded = bounded();
    let machine = machine(1);
    let guest = Fake::script([Next::Exit(Exit::Io(7))]);
    let entries = guest.entries();
    let mut vcpu = attach(&machine, 0, guest);
    let runs = Arc::new(AtomicU64::new(0));
    let post = |times: u64| {
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..times {
                    let runs = Arc::clone(&runs);
                    // Relaxed: one thread runs them and reads it.
                    let run = move || _ = runs.fetch_add(1, Ordering::Relaxed);
                    machine.post_boxed(0, run).map_err(drop).expect("it is online");
                }
            });
        });
    };
    // Relaxed: as above.
    let so_far = || runs.load(Ordering::Relaxed);
    // In the handler of an exit.
    assert_eq!(vcpu.run(|exit| (post(3), exit, so_far()).1).expect("it runs"), Ran::Exit(Exit::Io(7)));
    assert_eq!((machine.counts().wakes, so_far()), (0, 0), "no signal, and not before it was answered");
    assert_eq!(vcpu.run(|exit| exit).expect("it runs"), Ran::Kicked(3));
    assert_eq!((machine.counts().wakes, so_far()), (0, 3));
    // Relaxed: this thread's.
    assert_eq!(entries.load(Ordering::Relaxed), 1, "it was finished, and not entered again");
    assert_eq!(vcpu.with(|guest| (guest.finished, guest.is_half_done())), (7, false));
    // In the guest: one signal for all of them.
    thread::scope(|scope| {
        scope.spawn(|| {
            // Relaxed: a count; the mark of the latch was before it.
            eventually(|| entries.load(Ordering::Relaxed) == 2);
            post(1);
        });
        assert_eq!(vcpu.run(|exit| exit).expect("it runs"), Ran::Kicked(1));
    });
    assert_eq!((machine.counts().wakes, so_far()), (1, 4));
}

#[test]
fn a_csd_that_is_posted_again_and_again_keeps_its_promise_of_busy() {
    use smpcall_host::smpcall::Csd;
    const POSTS: u32 = 20_000;
    let _bounded = bounded();
    let (machine, last, seen) = (machine(1), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let csd = {
        let (last, seen) = (Arc::clone(&last), Arc::clone(&seen));
        // Relaxed: the post publishes `last`; `seen` is read at the end, or by who waits for it.
        Arc::new(Csd::new(move || seen.store(last.load(Ordering::Relaxed), Ordering::Relaxed)))
    };
    thread::scope(|scope| {
        let vcpu = spawn(scope, &machine, 0, Fake::new);
        let mut queued = 0;
        for post in 1..=POSTS {
            // Relaxed: the post publishes it.
            last.store(post, Ordering::Relaxed);
            queued += u32::from(machine.post(0, &csd) == Ok(Posted::Queued));
        }
        // P2: whoever was told Busy is seen by the run that is still to begin.
        // Relaxed: as above.
        eventually(|| seen.load(Ordering::Relaxed) == POSTS);
        assert!(queued > 0);
        machine.shutdown().expect("this thread is no CPU");
        vcpu.join().expect("it ends");
    });
}
