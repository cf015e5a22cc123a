//! The field that is named must be there.
use smpcall::{CsdField, csd_field};

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { done } }

fn main() {}
