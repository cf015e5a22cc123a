//! There are three ways to be given an owner, and a box is none.
use smpcall::{CsdField, CsdOwner, Here, csd_field};

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

impl CsdOwner for Request {
    type Pointer = Box<Self>;
    fn run(_: Box<Self>, _: Here<'_>) {}
}

fn main() {}
