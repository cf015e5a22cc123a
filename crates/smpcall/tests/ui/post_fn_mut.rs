//! Nor may it change what it owns without synchronisation.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let mut count = 0;
    let csd = Box::leak(Box::new(Csd::new(move || count += 1)));
    let _ = smp.post(1, &*csd);
}

fn main() {}
