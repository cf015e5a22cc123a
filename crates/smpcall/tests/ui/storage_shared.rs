//! Two machines cannot share their CPUs.
use smpcall::{PerCpu, Platform, Machine};

fn two<P: Platform>(one: P, other: P, cpus: &'static mut [PerCpu]) {
    let _ = Machine::with_storage(one, cpus).unwrap();
    let _ = Machine::with_storage(other, cpus).unwrap();
}

fn main() {}
