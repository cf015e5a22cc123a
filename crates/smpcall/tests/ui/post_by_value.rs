//! Neither the csd itself nor a unique borrow can be posted.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, csd: Csd<fn()>, unique: &'static mut Csd<fn()>) {
    let _ = smp.post(1, csd);
    let _ = smp.post(1, unique);
}

fn main() {}
