//! A csd lies where it is aligned.
use smpcall::{CsdField, csd_field};

#[repr(packed)]
struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

fn main() {}
