//! An owned closure goes to another thread, with all that it owns.
use smpcall::{Platform, Smp, Storage};
use std::rc::Rc;

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, text: Rc<str>) {
    let _ = smp.post_boxed(1, move || drop(text));
}

fn main() {}
