//! A csd on the stack would be freed while it is queued.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let csd = Csd::new(|| ());
    let _ = smp.post(1, &csd);
}

fn main() {}
