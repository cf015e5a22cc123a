//! A counted csd may outlive the caller: its closure borrows nothing.
use smpcall::{Csd, Platform, Smp, Storage};
use std::sync::Arc;

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let local = 1;
    let csd = Arc::new(Csd::new(|| assert_eq!(local, 1)));
    let _ = smp.post(1, &csd);
}

fn main() {}
