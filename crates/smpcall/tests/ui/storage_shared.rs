//! Two machines cannot share their CPUs.
use smpcall::{PerCpu, Platform, Smp};

fn two<P: Platform>(one: P, other: P, cpus: &'static mut [PerCpu]) {
    let _ = Smp::with_storage(one, cpus).unwrap();
    let _ = Smp::with_storage(other, cpus).unwrap();
}

fn main() {}
