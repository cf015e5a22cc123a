//! The field that is named must be a csd.
use smpcall::{CsdField, csd_field};

struct Request {
    csd: CsdField,
    bytes: usize,
}

csd_field! { impl Request { bytes } }

fn main() {}
