#!/usr/bin/env bash
# Believed: a future may be dropped at any time, as a time limit and `select!` do: of two tasks that wait to send into a full channel, or for a lock, the
#           second goes on if the first gives up when its turn has just come.
# Version:  local-sync 0.1.1 (for monoio and others of one thread), rtic-sync 1.6.0, thingbuf 0.1.6, beside tokio 1.54.1, by cargo from the registry.
# Behaviour: thingbuf: the second waits on, though the channel is empty, until something is received again, which he alone could send. rtic-sync's
#            arbiter: what was given to the first is given to nobody any more. local-sync's semaphore, and its bounded channel by that: the drop
#            itself panics, since it gives the permit back while it has the list of waiters borrowed.
# Seen:     tokio: goes on; thingbuf and rtic-sync: waits; local-sync: "RefCell already borrowed"
. "$(dirname "$0")/common.sh"
probe 2021 'critical-section = { version = "1", features = ["std"] }
local-sync = "=0.1.1"
rtic-sync = "=1.6.0"
thingbuf = "=0.1.6"
tokio = { version = "=1.54.1", default-features = false, features = ["sync"] }'
cat > src/main.rs <<'RUST'
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

fn kept<T>(it: T) -> &'static mut T {
    // What a drop that panics was in the middle of is not to be dropped after it.
    Box::leak(Box::new(it))
}

/// Two wait; a turn comes, which is the first's; the first is dropped before it is polled. What of the second?
fn tell<A: Future, B: Future>(name: &str, first: A, second: B, turn: impl FnOnce()) {
    let mut context = Context::from_waker(Waker::noop());
    let (mut first, mut second) = (Box::pin(first), ManuallyDrop::new(Box::pin(second)));
    assert!(first.as_mut().poll(&mut context).is_pending() && second.as_mut().poll(&mut context).is_pending());
    turn();
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(first)));
    let what = match dropped {
        Ok(()) if second.as_mut().poll(&mut context).is_ready() => "goes on".to_owned(),
        Ok(()) => "waits".to_owned(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            text.unwrap_or_else(|| (*panic.downcast_ref::<&str>().unwrap()).to_owned())
        }
    };
    println!("{name}: {what}");
}

fn main() {
    std::panic::set_hook(Box::new(|_| ()));
    let semaphore = tokio::sync::Semaphore::new(0);
    tell("tokio semaphore", semaphore.acquire(), semaphore.acquire(), || semaphore.add_permits(1));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    sender.try_send(1).unwrap();
    tell("tokio channel", sender.send(2), sender.send(3), || assert!(receiver.try_recv().is_ok()));

    let (sender, receiver) = thingbuf::mpsc::channel::<u32>(1);
    let sender = kept(sender);
    sender.try_send(1).unwrap();
    tell("thingbuf channel", sender.send(2), sender.send(3), || assert!(receiver.try_recv().is_ok()));
    assert_eq!(receiver.len(), 0);

    let arbiter = rtic_sync::arbiter::Arbiter::new(());
    let access = arbiter.try_access().unwrap();
    let arbiter = &arbiter;
    tell("rtic-sync arbiter", arbiter.access(), arbiter.access(), || drop(access));

    let semaphore = kept(local_sync::semaphore::Semaphore::new(0));
    tell("local-sync semaphore", semaphore.acquire(), semaphore.acquire(), || semaphore.add_permits(1));
    let (sender, receiver) = local_sync::mpsc::bounded::channel(1);
    let (sender, receiver) = (kept(sender), kept(receiver));
    assert!(Box::pin(sender.send(1)).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    tell("local-sync channel", sender.send(2), sender.send(3), || assert!(receiver.try_recv().is_ok()));
}
RUST
cargo build --quiet
demand "the second" "$("$folder/target/debug/probe" | paste -sd '|')" \
    'tokio semaphore: goes on|tokio channel: goes on|thingbuf channel: waits|rtic-sync arbiter: waits|local-sync semaphore: RefCell already borrowed|local-sync channel: RefCell already borrowed'
