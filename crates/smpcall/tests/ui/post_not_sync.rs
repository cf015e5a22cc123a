//! A csd's function may run on two CPUs at once: its closure must be `Sync`.
use smpcall::{Csd, Platform, Smp, Storage};
use std::cell::Cell;

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let count = Cell::new(0);
    let csd = Box::leak(Box::new(Csd::new(move || count.set(count.get() + 1))));
    let _ = smp.post(1, &*csd);
}

fn main() {}
