//! A lazy post outlives its caller's frame like any other.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let csd = Csd::new(|| ());
    let _ = smp.post_lazy(1, &csd);
}

fn main() {}
