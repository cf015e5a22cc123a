//! What an embedded message carries goes to another CPU.
use smpcall::{MessageField, csd_field};
use std::rc::Rc;

struct Index {
    find: MessageField<Rc<str>, usize>,
}

csd_field! { impl Index { find(Rc<str>) -> usize } }

fn main() {}
