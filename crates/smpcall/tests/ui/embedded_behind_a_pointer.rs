//! A field of what the struct points to is no field of it: that may be replaced while it is queued.
use smpcall::{CsdField, csd_field};
use std::ops::Deref;

struct Inner {
    csd: CsdField,
}
struct Outer(Box<Inner>);

impl Deref for Outer {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

csd_field! { impl Outer { csd } }

fn main() {}
