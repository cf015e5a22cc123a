//! P14 on host threads: CPUs that sleep in epoll, mio, tokio, smol. No loop has a time-out: a lost doorbell hangs, and the bound on
//! each test names it.

#[path = "../host/site.rs"]
#[allow(dead_code, reason = "what the tests of the contract share; these need a part")]
mod site;

mod epoll;
mod faults;
mod loops;
mod pump;
mod pump_ends;
mod reactors;
mod signal;
mod uring;
mod wakers;
