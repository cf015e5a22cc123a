//! What a message carries goes to another thread.
use smpcall::{Message, Platform, Smp, Storage};
use std::rc::Rc;

fn send<P: Platform, S: Storage>(smp: &Smp<P, S>, message: &'static Message<Rc<u32>, u32>) {
    let _ = smp.send(1, message, Rc::new(1));
}

fn main() {}
