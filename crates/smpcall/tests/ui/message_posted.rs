//! A message is sent with a value, not posted without.
use smpcall::{Message, Platform, Smp, Storage};

fn post<P: Platform, S: Storage>(smp: &Smp<P, S>, message: &'static Message<u32, u32>) {
    let _ = smp.post(1, message);
}

fn main() {}
