//! A csd that was posted as `'static` is borrowed for ever: it cannot be moved out of its box.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, csd: Csd<fn()>) -> Csd<fn()> {
    let _ = smp.post(1, &csd);
    csd
}

fn main() {}
