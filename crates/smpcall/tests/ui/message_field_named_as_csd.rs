//! A message is named with what it carries, not as a csd.
use smpcall::{MessageField, csd_field};

struct Index {
    find: MessageField<String, usize>,
}

csd_field! { impl Index { find } }

fn main() {}
