//! A csd that has no function cannot be posted.
use smpcall::{CsdField, Platform, Smp, Storage, csd_field};

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, request: &'static Request) {
    let _ = smp.post(1, request);
}

fn main() {}
