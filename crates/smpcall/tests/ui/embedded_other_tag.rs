//! The field that is named must have the tag that is named.
use smpcall::{CsdField, csd_field};

struct Read;
struct Close;
struct Connection {
    read: CsdField<Read>,
    close: CsdField<Close>,
}

csd_field! { impl Connection { read: Close } }

fn main() {}
