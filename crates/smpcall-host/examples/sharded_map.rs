//! A map in shards: each key lives on one CPU, and whoever wants it calls that CPU. No lock, and nothing to retry.
//!
//! `cargo run -p smpcall-host --example sharded_map`

use smpcall_host::Machine;
use smpcall_host::smpcall::{CallError, PerCpuCell, To};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::thread;

type Shard = HashMap<String, u64>;

/// Words, counted.
struct Words {
    machine: Machine,
    shards: Vec<PerCpuCell<Shard>>,
    hasher: RandomState,
}

impl Words {
    fn new(shards: usize) -> Result<Self, Box<dyn std::error::Error>> {
        let machine = Machine::builder().owned(shards).build()?;
        let shards = (0..shards).map(|_| PerCpuCell::new(Shard::new())).collect();
        Ok(Self { machine, shards, hasher: RandomState::new() })
    }

    /// Runs `f` where the key lives. The caller waits, so `f` may borrow from it.
    fn at<R: Send>(&self, key: &str, f: impl FnOnce(&mut Shard) -> R + Send) -> Result<R, CallError> {
        let cpu = self.hasher.hash_one(key) % self.shards.len() as u64;
        self.machine.call(cpu as u32, || {
            self.machine.with_local(&self.shards, f).expect("a function on a CPU that has a cell")
        })
    }

    fn add(&self, key: &str) -> Result<u64, CallError> {
        self.at(key, |shard| {
            let count = shard.entry(key.to_owned()).or_default();
            *count += 1;
            *count
        })
    }

    fn get(&self, key: &str) -> Result<Option<u64>, CallError> {
        self.at(key, |shard| shard.get(key).copied())
    }

    /// All shards at once, one number from each.
    fn len(&self) -> Result<usize, Box<dyn std::error::Error>> {
        let mut lens = vec![None; self.shards.len()];
        let len = |_| self.machine.with_local(&self.shards, |shard| shard.len());
        self.machine.call_map(To::All, &mut lens, len)?;
        Ok(lens.into_iter().flatten().sum::<Result<usize, _>>()?)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words = Words::new(2)?;
    let text = "of one and one and one more of them";
    thread::scope(|scope| {
        for _ in 0..4 {
            // Any thread may ask; these are no CPUs.
            scope.spawn(|| {
                text.split(' ').for_each(|word| _ = words.add(word).expect("the shards are there"))
            });
        }
    });
    assert_eq!((words.get("one")?, words.get("them")?, words.get("two")?), (Some(12), Some(4), None));
    println!("{} words on {} shards", words.len()?, words.shards.len());
    assert_eq!(words.len()?, 5);
    Ok(())
}
