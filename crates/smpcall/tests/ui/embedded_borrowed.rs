//! An owner on the stack may be gone while it is queued: it is pinned, `'static` or counted.
use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, Smp, Storage, csd_field};

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = Lent;
    fn run(_: &Self, _: Here<'_>) {}
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let request = Request { csd: CsdField::new() };
    let _ = smp.post(1, &request);
}

fn main() {}
