//! A detached function is copied to its target: it must be `Copy`, so that nothing is left to drop if it is refused.
use smpcall::{Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, function: impl FnOnce() + Send + 'static) {
    let _ = smp.post_detached(1, function);
}

fn main() {}
