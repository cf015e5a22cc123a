//! The core on a toy port: one thread is every CPU in turn, a ring is an entry in a list, and a test can put code of its
//! own where an interrupt or another CPU would come in. Nothing here depends on time or on the scheduler.

#![cfg(not(loom))]

mod backlog;
mod blocking;
#[cfg(feature = "alloc")]
mod boxed;
mod broadcast;
mod call_in;
mod cancel;
mod chain;
mod context;
#[cfg(feature = "alloc")]
mod counted;
mod cpu;
mod deferred;
mod detached;
mod doorbell;
mod elsewhere;
mod embedded;
#[cfg(feature = "alloc")]
mod embedded_arc;
mod flush;
mod foreign;
mod frames;
#[cfg(feature = "alloc")]
mod future;
mod hotplug;
mod lazy;
mod leaves_out;
mod local;
mod machine;
mod many;
mod map;
mod meanwhile;
mod message;
mod message_field;
mod migrates;
mod nearest;
mod pinned;
mod port;
mod post;
#[cfg(feature = "relays")]
mod relay;
mod serves;
mod sizes;
mod slots;
mod stalls;
mod stats;
mod trace;
mod unrung;
mod wait;
mod wakes;
