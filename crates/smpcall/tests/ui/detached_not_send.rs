//! A detached function runs on another CPU: it must be `Send`.
use smpcall::{Platform, Smp, Storage};
use std::cell::Cell;

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, cell: &'static Cell<u32>) {
    let _ = smp.post_detached(1, move || cell.set(1));
}

fn main() {}
