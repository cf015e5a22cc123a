//! A message is named with the types that its field carries.
use smpcall::{MessageField, csd_field};

struct Index {
    find: MessageField<String, usize>,
}

csd_field! { impl Index { find(String) -> bool } }

fn main() {}
