//! What is done with whole machines.

use crate::judge::complain;
use crate::kinds::Kind;
use crate::payload;
use crate::program::Step;
use crate::world::{Host, World};
use smpcall_host::Machine;
use smpcall_host::smpcall::{Csd, Platform, Watch};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Far more than a thread takes to end that has nothing to do any more.
const GONE_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn perform(world: &'static World, step: &'static Step) {
    let (_, machine) = world.machine_of(step.machine);
    match step.kind {
        Kind::Kick => {
            let _ = machine.kick_all_cpus_sync();
        }
        Kind::WakeIdle => {
            machine.wake_idle_cpus();
        }
        Kind::Watchdog => {
            let mut notes = vec![Watch::new(); machine.cpus_len() as usize];
            for _ in 0..2 {
                machine.watchdog(1, &mut notes);
            }
        }
        Kind::Shutdown => {
            let _ = machine.shutdown();
            demand_shut_down(machine, step);
        }
        Kind::ShutdownTimeout => {
            let _ = machine.shutdown_timeout(Duration::from_micros(step.us.into()));
            demand_shut_down(machine, step);
        }
        Kind::WithLocal => with_local(world, step),
        Kind::Ring if step.cpu < machine.cpus_len() => {
            machine.platform().ring(step.cpu).expect("the host's doorbells never fail");
        }
        Kind::OwnMachine => own_machine(step.mask),
        _ => {}
    }
}

/// However the shutdown was answered, the machine was told to end.
fn demand_shut_down(machine: &Host, step: &Step) {
    if !machine.is_shut_down() {
        complain("P8", &format!("[{}] shut a machine down that does not say so", step.id));
    }
}

/// A function's way to what is its CPU's alone: what is written there is no atomic, and a sanitizer sees two that write.
fn with_local(world: &'static World, step: &'static Step) {
    let (at, machine) = world.machine_of(step.machine);
    let here = machine.platform().current_cpu();
    let written = machine.with_local(&world.cells[at], |cell| {
        *cell += 1;
        let before = *cell;
        let _ = payload::act(world, step.id, &step.body);
        if *cell != before {
            complain("memory: a CPU's own cell", &format!("[{}] was written to by another", step.id));
        }
    });
    if written.is_ok() && (here.is_none() || machine.platform().can_wait()) {
        complain("memory: a CPU's own cell", &format!("[{}] reached it outside call context", step.id));
    }
}

/// Makes a machine, becomes its CPU, leaks that or not, and drops the machine here or in a function of its own.
fn own_machine(how: u32) {
    let Ok(machine) = Machine::builder().owned(1).attachable(1).build() else { return };
    let machine = Arc::new(machine);
    let mut leaked = false;
    if let Ok(attached) = machine.attach(1) {
        let _ = machine.call(0, || ());
        leaked = how & 1 != 0;
        if leaked {
            std::mem::forget(attached);
        }
    }
    if how & 2 != 0 {
        let passed = Mutex::new(Some(Arc::clone(&machine)));
        let csd = Arc::new(Csd::new(move || {
            let last = passed.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(last);
        }));
        let _ = machine.post(0, &csd);
    }
    let alive = Arc::downgrade(&machine);
    drop(machine);
    if leaked {
        // It is gone once its own thread is, which may have been the last to hold it.
        let until = Instant::now() + GONE_WITHIN;
        while !attaches() {
            if Instant::now() > until {
                let holders = alive.strong_count();
                complain(
                    "identity",
                    &format!("a thread cannot attach, whose last machine has {holders} holders"),
                );
            }
            std::thread::yield_now();
        }
    }
}

fn attaches() -> bool {
    Machine::builder().attachable(1).build().is_ok_and(|next| next.attach(0).is_ok())
}
