//! What is done with whole machines.

use crate::judge::complain;
use crate::kinds::Kind;
use crate::program::Step;
use crate::world::World;
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
        }
        Kind::Ring if step.cpu < machine.cpus_len() => machine.platform().ring(step.cpu),
        Kind::OwnMachine => own_machine(step.mask),
        _ => {}
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
