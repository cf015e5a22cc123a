//! What a function is lent ends with the run.
use smpcall::{CsdField, CsdOwner, Here, Lent, csd_field};
use std::sync::Mutex;

struct Request {
    csd: CsdField,
}

csd_field! { impl Request { csd } }

static KEPT: Mutex<Option<&'static Request>> = Mutex::new(None);

impl CsdOwner for Request {
    type Pointer = Lent;
    fn run(this: &Self, _: Here<'_>) {
        *KEPT.lock().unwrap() = Some(this);
    }
}

fn main() {}
