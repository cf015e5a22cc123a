//! A called function goes to another CPU: what it captures must be `Send`.
use smpcall::{Platform, Smp, Storage};
use std::rc::Rc;

fn call<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let local = Rc::new(1);
    let _ = smp.call(1, || *local);
}

fn main() {}
