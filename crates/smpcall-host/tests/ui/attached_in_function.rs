//! An attached thread's handle is of no use in a function, on whichever CPU, nor while it is in use.
use smpcall_host::smpcall::Budget;
use smpcall_host::{Attached, Machine};

fn on_another_cpu(machine: &Machine, mut attached: Attached<'_>) {
    let _ = machine.call(1, || attached.poll(Budget::DEFAULT));
}

fn detached_by_a_function(machine: &'static Machine, attached: Attached<'static>) {
    let _ = machine.post_boxed(1, move || drop(attached));
}

fn while_it_serves(mut attached: Attached<'_>) {
    attached.handle().serve(|| attached.park(None) > 0);
}

fn after_it_detached(mut attached: Attached<'_>) {
    drop(attached);
    attached.poll_begin();
}

fn main() {
    let _ = (on_another_cpu, detached_by_a_function, while_it_serves, after_it_detached, Machine::builder);
}
