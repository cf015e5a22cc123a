//! Whoever has the machine posts and waits; what a CPU's own thread does is done by its own handle.
use smpcall_host::Machine;
use smpcall_host::smpcall::Budget;

fn flush(machine: &'static Machine) {
    let _ = machine.flush(Budget::DEFAULT);
}

fn come_online(machine: &'static Machine) {
    let _ = machine.as_pin().online();
}

fn sleep(machine: &'static Machine) {
    let _ = machine.begin_sleep();
}

fn main() {
    let _ = (flush, come_online, sleep);
}
