//! A machine is not dropped while a thread is one of its CPUs.
use smpcall_host::Machine;

fn main() {
    let machine = Machine::builder().attachable(1).build().unwrap();
    let mut attached = machine.attach(0).unwrap();
    drop(machine);
    attached.park(None);
}
