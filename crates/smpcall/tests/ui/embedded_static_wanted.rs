//! A function that keeps its owner for ever is not given a counted one.
use smpcall::{CsdField, CsdOwner, Here, Platform, Smp, Storage, csd_field};
use std::sync::Arc;

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = &'static Self;
    fn run(_: &'static Self, _: Here<'_>) {}
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, request: &Arc<Request>) {
    let _ = smp.post(1, request);
}

fn main() {}
