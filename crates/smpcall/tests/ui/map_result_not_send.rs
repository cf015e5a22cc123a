//! A result comes from another thread.
use smpcall::{Platform, Smp, Storage, To};
use std::rc::Rc;

fn map<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let mut results = [const { None }; 8];
    let _ = smp.call_map(To::All, &mut results, |cpu| Rc::new(cpu));
}

fn main() {}
