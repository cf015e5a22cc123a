//! An owner is not moved out of its `Arc`, nor changed in it, by whoever has but borrowed it to post it.
use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, Smp, Storage, csd_field};
use std::sync::Arc;

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = Lent;
    fn run(_: &Self, _: Here<'_>) {}
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, request: Arc<Request>) {
    let _ = smp.post(1, &request);
    let _ = *request;
    let moved: Request = *request;
    drop(moved);
}

fn main() {}
