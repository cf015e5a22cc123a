//! An attached thread is the CPU: it cannot hand that to another thread.
use smpcall_host::{Attached, Machine};

fn send(mut attached: Attached<'static>) {
    std::thread::spawn(move || attached.park(None));
}

fn share(attached: &'static Attached<'static>) {
    std::thread::spawn(|| attached.cpu());
}

fn main() {
    let _ = (send, share, Machine::builder);
}
