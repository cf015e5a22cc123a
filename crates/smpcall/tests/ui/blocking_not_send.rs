//! A function that may block runs in another CPU's thread: it must be `Send`, though its caller waits.
use smpcall::{Platform, Smp, Storage};
use std::rc::Rc;

fn call<P: Platform, S: Storage>(smp: &Smp<P, S>, local: Rc<u32>) {
    let _ = smp.call_blocking(1, || *local);
}

fn main() {}
