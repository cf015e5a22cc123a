//! A counted owner may be dropped on the CPU that ran its function: it must be `Send`.
use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, Smp, Storage, csd_field};
use std::sync::{Arc, MutexGuard};

struct Request {
    csd: CsdField,
    // The guard of a mutex is `Sync`, and must be dropped by the thread that locked it.
    guard: MutexGuard<'static, u32>,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = Lent;
    fn run(this: &Self, _: Here<'_>) {
        assert_eq!(*this.guard, 1);
    }
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, request: &Arc<Request>) {
    let _ = smp.post(1, request);
}

fn main() {}
