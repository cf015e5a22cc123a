//! A borrow that a call gives back ends with what was borrowed.
use smpcall::{Platform, Smp, Storage};

fn call<P: Platform, S: Storage>(smp: &Smp<P, S>) -> &'static u32 {
    let local = 1;
    smp.call(1, || &local).unwrap()
}

fn main() {}
