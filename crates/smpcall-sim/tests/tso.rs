//! Store buffers make a difference: Linux's protocol loses a poster's write here, on every kind of search, and smpcall's does
//! not. The protocol is that of kernel/smp.c and of its asynchronous call, in a few lines.

use smpcall_instrumented::{Budget, Csd, Machine, PerCpu, Posted};
use smpcall_sim::explore::{Found, Run, Search, Tiny, here};
use smpcall_sim::{Memory, Virtual};
use smpcall_sim_atomics::{AtomicU32, Ordering, fence};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32 as Plain;

const TWO: Tiny = Tiny { cpus: 2, callers: 0, interrupts: false, memory: Memory::Tso, steps_max: 100_000 };

/// How a csd is posted and unlocked.
trait Protocol: Default + 'static {
    /// Whether the csd was locked already: told Busy.
    fn post(&self) -> bool;
    fn unlock(&self);
}

/// As Linux does it: a plain load of the flag, a release store to unlock.
struct Linux(AtomicU32);

impl Default for Linux {
    fn default() -> Self {
        Self(AtomicU32::new(1))
    }
}

impl Protocol for Linux {
    fn post(&self) -> bool {
        // Relaxed: as there.
        self.0.load(Ordering::Relaxed) & 1 != 0
    }

    fn unlock(&self) {
        // Release: as there.
        self.0.store(0, Ordering::Release);
    }
}

/// The same with a full fence on each side, which was thought too dear.
#[derive(Default)]
struct Fenced(Linux);

impl Protocol for Fenced {
    fn post(&self) -> bool {
        fence(Ordering::SeqCst); // SeqCst: a full one.
        self.0.post()
    }

    fn unlock(&self) {
        self.0.unlock();
        fence(Ordering::SeqCst); // SeqCst: a full one.
    }
}

/// A poster that writes and posts, against a target that unlocks and reads.
fn race<P: Protocol>(search: &Search) -> Found {
    // SAFETY: `is_bad` keeps the csd and the data.
    unsafe {
        TWO.explore(search, || {
            let (csd, data) = (Rc::new(P::default()), Rc::new(AtomicU32::new(0)));
            let (busy, seen) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
            let poster = {
                let (csd, data, busy) = (Rc::clone(&csd), Rc::clone(&data), Rc::clone(&busy));
                move || {
                    data.store(1, Ordering::Relaxed); // Relaxed: to publish it is the protocol's business.
                    busy.set(csd.post());
                }
            };
            let kept = (Rc::clone(&csd), Rc::clone(&data));
            let target = {
                let seen = Rc::clone(&seen);
                move || {
                    csd.unlock();
                    seen.set(data.load(Ordering::Relaxed)); // Relaxed: as above.
                }
            };
            Run {
                bodies: vec![Box::new(poster), Box::new(target)],
                doorbell: Box::new(|| ()),
                is_bad: Box::new(move || {
                    let _ = &kept;
                    busy.get() && seen.get() == 0
                }),
            }
        })
    }
}

/// The same race with smpcall's own csd: its target has queued it, and flushes when it is posted once more.
fn race_ours(search: &Search) -> Found {
    // SAFETY: `is_bad` keeps the machine and the data.
    unsafe {
        TWO.explore(search, || {
            let machine = Rc::pin(Machine::new(Virtual::<false>, [const { PerCpu::new() }; 2]));
            let (data, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(Plain::new(0)));
            let (busy, queued) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
            let csd = {
                let (data, seen) = (Arc::clone(&data), Arc::clone(&seen));
                // Relaxed, both: to make it visible is the post's business, and `seen` is the test's own.
                Arc::new(Csd::new(move || {
                    _ = seen.fetch_max(data.load(Ordering::Relaxed), Ordering::Relaxed)
                }))
            };
            let kept = (machine.clone(), Arc::clone(&data));
            let poster = {
                let (machine, csd) = (machine.clone(), Arc::clone(&csd));
                let (busy, queued) = (Rc::clone(&busy), Rc::clone(&queued));
                move || {
                    while !queued.get() {
                        here::pause();
                    }
                    data.store(1, Ordering::Relaxed); // Relaxed: to publish it is the post's business.
                    busy.set(machine.post(1, &csd) == Ok(Posted::Busy { cpu: 1 }));
                }
            };
            let target = move || {
                let mut cpu = machine.as_ref().online().unwrap();
                machine.post(1, &csd).unwrap();
                queued.set(true);
                let _ = cpu.flush(Budget::DEFAULT);
                cpu.offline().unwrap();
            };
            Run {
                bodies: vec![Box::new(poster), Box::new(target)],
                doorbell: Box::new(|| ()),
                is_bad: Box::new(move || {
                    let _ = &kept;
                    busy.get() && seen.load(Ordering::Relaxed) == 0 // Relaxed: all has ended.
                }),
            }
        })
    }
}

#[test]
fn linuxs_protocol_loses_a_write_to_a_store_buffer() {
    let found = race::<Linux>(&Search::Exhaustive { preemptions: 2 });
    assert!(found.bad > 0 && found.endless == 0, "{found:?}");
    let found = race::<Linux>(&Search::Seeds(0..2_000));
    assert!(found.bad > 0 && found.endless == 0, "{found:?}");
}

#[test]
fn a_late_store_is_enough_without_any_preemption() {
    let found = race::<Linux>(&Search::Exhaustive { preemptions: 0 });
    assert!(found.bad > 0, "{found:?}");
}

#[test]
fn with_a_fence_on_each_side_nothing_is_lost() {
    let found = race::<Fenced>(&Search::Exhaustive { preemptions: 4 });
    assert!(found.bad == 0 && found.endless == 0 && found.runs > 100, "{found:?}");
}

#[test]
fn ours_loses_nothing() {
    let found = race_ours(&Search::Exhaustive { preemptions: 1 });
    assert!(found.bad == 0 && found.endless == 0 && found.runs > 100, "{found:?}");
    let found = race_ours(&Search::Seeds(0..5_000));
    assert!(found.bad == 0 && found.endless == 0, "{found:?}");
}
