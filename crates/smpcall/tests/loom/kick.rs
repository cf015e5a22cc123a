//! A doorbell that ends a system call: how a CPU's thread is got out of a guest (`crates/smpcall-kvm`). The queue is the core's; the
//! latch is modelled as the host has it, and signal, byte and `KVM_RUN` as Linux has them.

use crate::port::{Machine, model};
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use loom::sync::{Condvar, Mutex};
use smpcall::{Budget, Posted};
use std::mem::replace;

const QUIET: usize = 0;
const RUNG: usize = 1;
const OUTSIDE: usize = 2;

/// What a ring does to a thread that is in a guest.
#[derive(Clone, Copy, PartialEq)]
enum Kick {
    /// The byte, then the signal.
    AsItIs,
    SignalAlone,
    SignalFirst,
    /// Nothing orders it after the thread's own lowering of the byte.
    Unordered,
}

struct Vcpu {
    latch: AtomicUsize,
    /// `immediate_exit`.
    byte: AtomicBool,
    /// A signal was sent, and not delivered yet. The kernel does both under one lock.
    pending: Mutex<bool>,
    sent: Condvar,
}

impl Vcpu {
    fn new() -> Self {
        let (latch, byte) = (AtomicUsize::new(QUIET), AtomicBool::new(false));
        Self { latch, byte, pending: Mutex::new(false), sent: Condvar::new() }
    }

    fn ring(&self, kick: Kick) {
        // Release: publishes the push; pairs with `rest`.
        if self.latch.swap(RUNG, Ordering::Release) != OUTSIDE {
            return;
        }
        if kick != Kick::Unordered {
            // Acquire: after the lowering that came before OUTSIDE; pairs with `come_back`.
            fence(Ordering::Acquire);
        }
        if matches!(kick, Kick::AsItIs | Kick::Unordered) {
            // Relaxed: the signal carries it.
            self.byte.store(true, Ordering::Relaxed);
        }
        *self.pending.lock().unwrap() = true;
        self.sent.notify_one();
        if kick == Kick::SignalFirst {
            // Relaxed: as above, but it does not.
            self.byte.store(true, Ordering::Relaxed);
        }
    }

    /// Takes note of all rings so far; says nothing of them. To be followed by a look at the queue.
    fn rest(&self, at: usize) {
        // Acquire: sees what was pushed before the rings; pairs with `ring`.
        self.latch.swap(at, Ordering::Acquire);
    }

    /// `KVM_RUN` of a guest that leaves by itself, or never does.
    fn run(&self, leaves: bool) {
        // The thread is still its program's: a signal that came is delivered, and the handler does nothing.
        *self.pending.lock().unwrap() = false;
        // Relaxed: the kernel's look.
        if self.byte.load(Ordering::Relaxed) || leaves {
            return;
        }
        let mut pending = self.pending.lock().unwrap();
        while !*pending {
            pending = self.sent.wait(pending).unwrap();
        }
        *pending = false;
    }

    /// Out of the guest again.
    fn come_back(&self) {
        self.rest(QUIET);
        // Relaxed: read by this thread's own runs.
        self.byte.store(false, Ordering::Relaxed);
        // Release: before the OUTSIDE that follows; pairs with `ring`.
        fence(Ordering::Release);
    }
}

/// Posts to a CPU that enters a guest until all have run; the first run `leaves` by itself, or none does.
fn posts_against_runs(posts: u32, kick: Kick, leaves: bool) {
    model(move |m: &'static Machine<false>| {
        let (runs, vcpu) = (m.tally(), m.keep(Vcpu::new()));
        let poster = m.thread(None, move || {
            for _ in 0..posts {
                let before = m.rings(1);
                assert_eq!(m.post(1, m.csd(move || runs.add())), Ok(Posted::Queued));
                if m.rings(1) != before {
                    vcpu.ring(kick);
                }
            }
        });
        m.on(1, || {
            let (mut cpu, mut leaves) = (m.own(), leaves);
            while runs.get() < posts {
                if let Ok(guard) = cpu.begin_sleep() {
                    vcpu.rest(OUTSIDE);
                    if !guard.look_again() {
                        let asleep = guard.commit();
                        vcpu.run(replace(&mut leaves, false));
                        vcpu.come_back();
                        let _ = asleep.woken(Budget::DEFAULT);
                        continue;
                    }
                    guard.abort();
                    vcpu.come_back();
                }
                let _ = cpu.flush(Budget::DEFAULT);
            }
        });
        poster.join().unwrap();
        assert_eq!((runs.get(), m.rings(1) <= posts), (posts, true));
    });
}

/// P1, P7: a kick against a run that begins. If the signal is delivered before the thread is in the kernel, the run finds the byte; if later,
/// it ends the run. Bounds: one post; a signal is delivered just before the system call, or in it.
#[test]
fn a_kick_ends_the_run_that_it_was_sent_to() {
    posts_against_runs(1, Kick::AsItIs, false);
}

/// P1, P7: kicks against a guest that leaves by itself, whose thread comes back meanwhile, and enters again. A byte that is raised late ends
/// that run in vain, and the next kick is not lost. Bounds: as above, but two posts of one poster; it leaves once.
#[test]
fn kicks_against_a_guest_that_leaves() {
    posts_against_runs(2, Kick::AsItIs, true);
}

/// Without the byte the signal may come too early, and the guest is never left.
#[test]
#[should_panic(expected = "deadlock")]
fn the_signal_alone_is_lost() {
    posts_against_runs(1, Kick::SignalAlone, false);
}

/// So may one that is sent before the byte is raised.
#[test]
#[should_panic(expected = "deadlock")]
fn a_byte_that_is_raised_after_the_signal_is_not_seen() {
    posts_against_runs(1, Kick::SignalFirst, false);
}

/// Nor one that the thread's own lowering, from before it went out, comes after in the byte's order of modifications.
#[test]
#[should_panic(expected = "deadlock")]
fn a_byte_that_was_lowered_before_may_be_lowered_late() {
    posts_against_runs(2, Kick::Unordered, true);
}
