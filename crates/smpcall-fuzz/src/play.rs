//! Plays one program in this process: starts its threads, has them serve until all are done, ends it, and judges.

use crate::doing;
use crate::judge::{self, Judged, complain};
use crate::plant::Plant;
use crate::program::{Leave, Program, Serve, Tap, ThreadSpec};
use crate::steps;
use crate::world::{HeldCsd, World};
use smpcall_host::smpcall::{DetachedError, Platform};
use std::sync::{Arc, Barrier, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// As deep as blocking calls nest.
const STACK: usize = 16 << 20;
const MOMENT: Duration = Duration::from_micros(50);

/// Whether more than memory can be demanded of a program.
pub(crate) fn judged(program: &Program) -> Judged {
    // A panic of a listener's ends there.
    let acts = |tap: &Tap| !tap.acts.steps.is_empty();
    let listens = program.machines.iter().any(|machine| machine.tap.as_ref().is_some_and(acts));
    if listens { Judged::Memory } else { Judged::All }
}

/// Plays it. Comes back if nothing is wrong with it.
pub(crate) fn play(program: Program, plant: Plant) {
    let program: &'static Program = Box::leak(Box::new(program));
    judge::begin(judged(program));
    doing::begin();
    let world = World::start(program, plant);
    let barrier = Arc::new(Barrier::new(program.threads.len()));
    let threads: Vec<JoinHandle<()>> = (0..)
        .zip(&program.threads)
        .map(|(at, spec): (usize, &'static ThreadSpec)| {
            let barrier = Arc::clone(&barrier);
            std::thread::Builder::new()
                .name(format!("thread {at}"))
                .stack_size(STACK)
                .spawn(move || {
                    barrier.wait();
                    thread(world, spec);
                })
                .expect("a few threads can be started")
        })
        .collect();
    while (world.done.get() as usize) < threads.len() {
        std::thread::sleep(MOMENT);
    }
    world.closing.put(true);
    wake_all(world);
    for thread in threads {
        if thread.join().is_err() {
            complain("panic", "a thread's own destructors have panicked");
        }
    }
    let _inside = doing::Inside::new(0, "shutting down at the end");
    for machine in &world.machines {
        let _ = machine.shutdown();
    }
    at_rest(world);
}

fn thread(world: &'static World, spec: &'static ThreadSpec) {
    steps::run(world, &spec.steps);
    world.done.add(1);
    {
        let _inside = doing::Inside::new(spec.id, "serving at its end");
        while !world.closing.is_set() && serve_once(world, spec.serve) {}
    }
    let _inside = doing::Inside::new(spec.id, "leaving");
    if spec.leave == Leave::Drop || !steps::is_held() {
        steps::leave(world);
    }
}

/// `false` if the thread is no CPU.
fn serve_once(world: &'static World, serve: Serve) -> bool {
    let Some((at, _)) = world.here() else { return false };
    match serve {
        Serve::Park if steps::is_held() => steps::park_held(None),
        Serve::Poll if steps::is_held() => {
            steps::poll_held();
            std::thread::sleep(MOMENT);
        }
        _ => {
            steps::serve_own(world.machines[at]);
            std::thread::sleep(MOMENT);
        }
    }
    true
}

/// Those who sleep are to see that all are done: a post wakes them. One that is offline takes none, and is rung.
fn wake_all(world: &World) {
    for (machine, spec) in world.machines.iter().zip(&world.program.machines) {
        for cpu in spec.owned as u32..spec.cpus() {
            if machine.post_detached(cpu, || ()) == Err(DetachedError::Offline) {
                machine.platform().ring(cpu).expect("the host's doorbells never fail");
            }
        }
    }
}

/// Everything that was accepted has run: all CPUs are offline.
fn at_rest(world: &'static World) {
    if world.left_under_a_frame.is_set() {
        complain("identity", "a thread stopped being a CPU under a frame of that CPU");
    }
    for (at, there) in world.csds.iter().enumerate() {
        let runs = &there.runs;
        let (accepted, removed, ran) = (runs.accepted.get(), runs.removed.get(), runs.ran.get());
        if ran > accepted || ran + removed < accepted {
            let what = format!("csd {at}: {accepted} posts, {removed} cancelled, {ran} runs");
            complain("P1", &what);
        }
        let (owed, seen) = (runs.owed.get(), runs.seen.get());
        if removed == 0 && runs.refused.get() == 0 && seen < owed {
            complain("P2", &format!("csd {at}: a run was promised that sees {owed}, and they saw {seen}"));
        }
        if let HeldCsd::Counted(held) = &there.held {
            let csd = held.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(csd) = &csd
                && Arc::strong_count(csd) != 1
            {
                complain("P11", &format!("csd {at} is held {} times at rest", Arc::strong_count(csd)));
            }
            let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(csd)));
            if let Err(panic) = dropped {
                judge::discard(panic);
            }
        }
    }
    for (at, there) in world.messages.iter().enumerate() {
        let take = || there.took(there.message().try_take());
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(take)) {
            judge::discard(panic);
        }
        there.judge(at);
    }
    for (id, runs) in world.counts.iter().enumerate() {
        let (accepted, ran) = (runs.accepted.get(), runs.ran.get());
        if !runs.unknown.is_set() && accepted != ran {
            complain("P1", &format!("[{id}] was accepted {accepted} times, and ran {ran} times"));
        }
    }
    let (made, dropped) = (world.made.get(), world.dropped.get());
    if made != dropped {
        complain("P11", &format!("{made} things were made to be dropped, and {dropped} were"));
    }
}
