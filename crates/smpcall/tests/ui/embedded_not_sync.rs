//! The owner is shared with the CPU that runs its function.
use smpcall::{CsdField, CsdOwner, Here, Platform, Smp, Storage, csd_field};
use std::cell::Cell;

struct Request {
    csd: CsdField,
    bytes: Cell<usize>,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = &'static Self;
    fn run(this: &'static Self, _: Here<'_>) {
        this.bytes.set(1);
    }
}

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, request: &'static Request) {
    let _ = smp.post(1, request);
}

fn main() {}
