//! A chain is as strict as a single post.
use smpcall::{Csd, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let csds = [Csd::new(|| ())];
    let _ = smp.post_all(1, &csds);
}

fn main() {}
