//! A box is no owner that the queue could count on.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let csd = Box::new(Csd::new(|| ()));
    let _ = smp.post(1, &*csd);
    drop(csd);
}

fn main() {}
