//! An executor of smol's whose thread is a CPU: other threads post to it and spawn tasks on it, which see what was left there, without
//! a lock.
//!
//! `cargo run -p smpcall-host --example smol`

use smpcall_host::smpcall::Csd;
use smpcall_host::{Machine, WakerCell};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

thread_local! {
    /// A shard: this thread's alone. Others reach it by calls.
    static SHARD: RefCell<BTreeMap<u32, u32>> = const { RefCell::new(BTreeMap::new()) };
}

fn add(key: u32) {
    SHARD.with_borrow_mut(|shard| *shard.entry(key).or_default() += 1);
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let machine = Machine::builder().attachable(1).build()?;
    let (machine, online) = (&machine, &std::sync::Barrier::new(4));
    thread::scope(|scope| {
        let shard = scope.spawn(move || {
            let mut here = machine.attach_with(0, WakerCell::new()).expect("nobody else is this CPU");
            let tasks = Rc::new(smol::LocalExecutor::new());
            // Weak: what the executor runs does not keep it.
            let spawner = Rc::downgrade(&tasks);
            let spawn = move |task| {
                if let Some(tasks) = spawner.upgrade() {
                    tasks.spawn(task).detach();
                }
            };
            online.wait();
            // The pump is one of several; it ends with the machine.
            let ticks = async {
                let mut ticks = 0_u32;
                while !machine.is_shut_down() {
                    ticks += 1;
                    smol::Timer::after(std::time::Duration::from_millis(1)).await;
                }
                ticks
            };
            let pump = here.pump().spawning_by(spawn);
            let ((), ticks) = smol::block_on(tasks.run(smol::future::zip(pump, ticks)));
            assert!(ticks > 0, "other tasks had their turns");
            SHARD.take()
        });
        let callers: Vec<_> = (0..3)
            .map(|key| {
                scope.spawn(move || {
                    online.wait();
                    // One csd for a thousand posts: posted while it is queued, it is Busy, and will run.
                    let csd = Arc::new(Csd::new(move || add(key)));
                    for _ in 0..1_000 {
                        machine.post(0, &csd).expect("it is online");
                        machine.wait(&csd).expect("this thread may wait");
                    }
                    assert_eq!(machine.call(0, || SHARD.with_borrow(|shard| shard[&key])), Ok(1_000));
                    // A task there that awaits all three, and this thread awaits it.
                    smol::block_on(machine.spawn_on(0, move || async move {
                        while SHARD.with_borrow(|shard| shard.values().sum::<u32>() < 3_000) {
                            smol::future::yield_now().await;
                        }
                        SHARD.with_borrow(|shard| shard[&key])
                    }))
                    .expect("the executor is there")
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.join().expect("it does not panic"), 1_000);
        }
        machine.shutdown()?; // ends the pump
        let shard = shard.join().expect("it does not panic");
        assert_eq!(shard, BTreeMap::from([(0, 1_000), (1, 1_000), (2, 1_000)]));
        println!("3,000 posts, {} wake-ups", machine.counts().wakes);
        Ok(())
    })
}
