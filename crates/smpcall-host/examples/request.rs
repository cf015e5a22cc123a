//! Request and response in one struct: the csd is a field, the request goes there by it, and the answer is found in it. It is made
//! once, and sent again and again: nothing is allocated.
//!
//! `cargo run -p smpcall-host --example request`

use smpcall_host::Machine;
use smpcall_host::smpcall::{Here, MessageField, MessageOwner, SendError, TakeError, csd_field};
use std::sync::Arc;

/// A connection's way to the index, which lives on one CPU.
struct Lookup {
    words: Vec<&'static str>,
    find: MessageField<&'static str, Option<usize>>,
}

csd_field! { impl Lookup { find(&'static str) -> Option<usize> } }

impl MessageOwner for Lookup {
    /// In call context on the CPU that it was sent to.
    fn run(this: &Self, word: &'static str, here: Here<'_>) -> Option<usize> {
        assert_eq!(here.cpu(), 1);
        this.words.iter().position(|at| *at == word)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let machine = Machine::builder().owned(2).build()?;
    let lookup = Arc::new(Lookup { words: vec!["zero", "one", "two"], find: MessageField::new() });

    // There and back, while the caller waits.
    machine.send(1, &lookup, "two")?;
    assert_eq!(machine.receive(&lookup)?, Some(2));

    // Or sent now, and looked for later.
    machine.send(1, &lookup, "three")?;
    // One message carries one value: until its answer is taken, a second is handed back.
    assert!(matches!(machine.send(1, &lookup, "one"), Err(SendError { value: "one", .. })));
    let answer = loop {
        match lookup.find.try_take() {
            Ok(answer) => break answer,
            Err(TakeError::Pending) => std::thread::yield_now(), // whatever the caller does meanwhile
            Err(error) => return Err(error.into()),
        }
    };
    assert_eq!(answer, None);
    println!("two requests, two answers, one struct");
    Ok(())
}
