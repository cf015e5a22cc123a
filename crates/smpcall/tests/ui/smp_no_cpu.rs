//! What any thread has of a machine does nothing as a CPU: that is the handle's, and the port's machine's (P11).

use smpcall::{Budget, Platform, Smp, Storage};

fn flush<P: Platform, S: Storage>(smp: &'static Smp<P, S>) {
    let _ = smp.flush(Budget::DEFAULT);
}

fn come_online<P: Platform, S: Storage>(smp: &'static Smp<P, S>) {
    let _ = core::pin::Pin::static_ref(smp).online();
}

fn run_blocking<P: Platform, S: Storage>(smp: &'static Smp<P, S>) {
    smp.run_blocking();
}

fn main() {}
