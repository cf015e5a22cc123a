//! What is pinned is posted where it is pinned, not where it can be moved from.
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
    let request = smp.pinned::<_, ()>(Request { csd: CsdField::new() });
    let _ = smp.post(1, &request);
    let _ = smp.post(1, std::pin::Pin::new(&request));
}

fn main() {}
