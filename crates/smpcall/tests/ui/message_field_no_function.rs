//! A message that has no function cannot be sent; one with a tag is sent with its tag.
use smpcall::{Here, MessageField, MessageOwner, Platform, Smp, Storage, csd_field};

struct Find;

struct Index {
    find: MessageField<String, usize, Find>,
}

csd_field! { impl Index { find(String) -> usize: Find } }

impl MessageOwner<Find> for Index {
    fn run(_: &Self, text: String, _: Here<'_>) -> usize {
        text.len()
    }
}

fn send<P: Platform, S: Storage>(smp: &Smp<P, S>, index: &'static Index) {
    let _ = smp.send(1, index, String::new());
}

fn main() {}
