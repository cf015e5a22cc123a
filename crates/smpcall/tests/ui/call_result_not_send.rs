//! Its result comes back from another CPU: that must be `Send` too.
use smpcall::{Platform, Smp, Storage};
use std::rc::Rc;

fn call<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let _ = smp.call(1, || Rc::new(1));
}

fn main() {}
