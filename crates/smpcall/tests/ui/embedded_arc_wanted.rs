//! A function that takes a count is not given a reference.
use smpcall::{CsdField, CsdOwner, Here, Platform, Smp, Storage, csd_field};
use std::sync::Arc;

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = Arc<Self>;
    fn run(_: Arc<Self>, _: Here<'_>) {}
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, request: &'static Request) {
    let _ = smp.post(1, request);
}

fn main() {}
