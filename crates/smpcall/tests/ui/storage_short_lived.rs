//! A machine's memory is not borrowed for a while: a queue must not outlive it.
use smpcall::{PerCpu, Platform, Machine};

fn short<P: Platform>(platform: P, mut cpus: Vec<PerCpu>) {
    let _ = Machine::with_storage(platform, cpus.as_mut_slice());
}

fn main() {}
