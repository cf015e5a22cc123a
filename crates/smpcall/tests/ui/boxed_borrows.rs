//! An owned closure borrows nothing: nobody waits for it.
use smpcall::{Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let mut runs = 0;
    let _ = smp.post_boxed(1, || runs += 1);
}

fn main() {}
