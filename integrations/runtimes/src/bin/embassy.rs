//! embassy's executor on std: no heap, tasks in statics.

use embassy_executor::{Executor, Spawner};

#[embassy_executor::task]
async fn cpu() {
    smpcall_runtimes::cpu().await;
}

#[embassy_executor::task]
async fn other() {
    smpcall_runtimes::turn();
}

fn main() {
    smpcall_runtimes::drive("embassy", || {
        // It runs for ever: the process' end is its own.
        let executor: &'static mut Executor = Box::leak(Box::new(Executor::new()));
        executor.run(|spawner: Spawner| {
            spawner.spawn(cpu().expect("there is one"));
            spawner.spawn(other().expect("there is one"));
        });
    });
}
