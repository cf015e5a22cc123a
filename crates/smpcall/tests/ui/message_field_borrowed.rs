//! The owner of a message may be gone while that is on its way: it is `'static` or counted.
use smpcall::{Here, MessageField, MessageOwner, Platform, Smp, Storage, csd_field};

struct Index {
    find: MessageField<String, usize>,
}

csd_field! { impl Index { find(String) -> usize } }

impl MessageOwner for Index {
    fn run(_: &Self, text: String, _: Here<'_>) -> usize {
        text.len()
    }
}

fn send<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    let index = Index { find: MessageField::new() };
    let _ = smp.send(1, &index, String::new());
}

fn main() {}
