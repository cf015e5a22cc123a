//! A detached function outlives its caller's frame: it must not borrow from it.
use smpcall::{Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let local = 1;
    let local = &local;
    let _ = smp.post_detached(1, move || assert_eq!(*local, 1));
}

fn main() {}
