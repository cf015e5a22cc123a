//! What is pinned may be forgotten, and stays queued: it borrows nothing.
use smpcall::{CsdField, CsdOwner, Here, Lent, Platform, Smp, Storage, csd_field};

struct Request<'a> {
    csd: CsdField,
    bytes: &'a [u8],
}

csd_field! { impl{'a} Request<'a> { csd } }

impl<'a> CsdOwner for Request<'a> {
    type Pointer = Lent;
    fn run(this: &Self, _: Here<'_>) {
        assert!(!this.bytes.is_empty());
    }
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, bytes: &[u8]) {
    let request = std::pin::pin!(smp.pinned(Request { csd: CsdField::new(), bytes }));
    let _ = smp.post(1, request.as_ref());
}

fn main() {}
