//! What the closure of a posted csd borrows must live as long as the csd.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let local = 1;
    let csd = Box::leak(Box::new(Csd::new(|| assert_eq!(local, 1))));
    let _ = smp.post(1, &*csd);
}

fn main() {}
