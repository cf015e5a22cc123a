//! Two fields of one tag would make Busy of the one promise the run of the other.
use smpcall::{CsdField, csd_field};

struct Request {
    one: CsdField,
    two: CsdField,
}

csd_field! { impl Request { one, two } }

fn main() {}
