//! A count that is not atomic does not count across CPUs.
use smpcall::{Csd, Platform, Smp, Storage};
use std::rc::Rc;

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let csd = Rc::new(Csd::new(tick as fn()));
    let _ = smp.post(1, &csd);
}

fn tick() {}

fn main() {}
