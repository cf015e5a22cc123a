//! A counted csd may be dropped on the CPU that ran it: its closure must be `Send`.
use smpcall::{Csd, Platform, Smp, Storage};
use std::sync::{Arc, MutexGuard};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, guard: MutexGuard<'static, u32>) {
    // The guard of a mutex is `Sync`, and must be dropped by the thread that locked it.
    let csd = Arc::new(Csd::new(move || assert_eq!(*guard, 1)));
    let _ = smp.post(1, &csd);
}

fn main() {}
