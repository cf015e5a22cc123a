//! A message on the stack may be gone while it is on its way.
use smpcall::{Message, Platform, Smp, Storage};

fn send<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let message = Message::<u32, u32>::new(|value, _| value + 1);
    let _ = smp.send(1, &message, 1);
}

fn main() {}
