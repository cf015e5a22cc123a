//! An owner is not posted by value: it would be gone before its function runs.
use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, Smp, Storage, csd_field};

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = Lent;
    fn run(_: &Self, _: Here<'_>) {}
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, request: Request) {
    let _ = smp.post(1, request);
}

fn main() {}
