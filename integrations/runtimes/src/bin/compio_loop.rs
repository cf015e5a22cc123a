//! compio, with its loop in the program's hands: `run` has the tasks' turns, `poll_with` is the only sleep, and both are between two
//! flushes of the CPU. There is no task for the CPU, and a ring ends the driver's sleep itself.

use compio::runtime::Runtime;
use smpcall_host::Doorbell;
use smpcall_host::smpcall::{Budget, RingError};
use smpcall_runtimes::machine;
use std::task::Waker;
use std::time::Duration;

/// The runtime's own waker, which ends `poll_with`, and is kept if it comes before.
struct Driver(Waker);

impl Doorbell for Driver {
    fn ring(&self) -> Result<(), RingError> {
        self.0.wake_by_ref();
        Ok(())
    }
}

fn main() {
    smpcall_runtimes::drive("compio's own loop", || {
        let runtime = Runtime::new().expect("io_uring");
        let mut here = machine().attach_with(0, Driver(runtime.waker())).expect("nobody else is this CPU");
        runtime.enter(|| {
            compio::runtime::spawn(async { smpcall_runtimes::turn() }).detach();
            while !machine().is_shut_down() {
                let tasks_are_ready = runtime.run();
                match here.begin_sleep() {
                    Ok(guard) if !tasks_are_ready => {
                        let asleep = guard.commit();
                        runtime.poll();
                        let _ = asleep.woken(Budget::DEFAULT);
                    }
                    // The guard, if there is one, is dropped: it does not sleep after all.
                    busy => {
                        drop(busy);
                        let _ = here.poll(Budget::DEFAULT);
                        runtime.poll_with(Some(Duration::ZERO));
                    }
                }
            }
        });
    });
}
