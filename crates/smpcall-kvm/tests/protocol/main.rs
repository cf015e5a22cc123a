//! The protocol of a vCPU's doorbell, without KVM: everywhere. Nothing here has a time-out that a kick which was lost could hide behind:
//! it hangs, and the bound on each test names it.

#[path = "../common/bounded.rs"]
mod bounded;
#[path = "../common/fake.rs"]
mod fake;

mod calls;
mod ends;
mod kicks;
mod pauses;

use fake::{Exit, Fake, signal};
use smpcall_host::Machine;
use smpcall_kvm::{Ran, Vcpu};
use std::thread::{self, Scope, ScopedJoinHandle};

fn machine(cpus: usize) -> Machine {
    Machine::builder().attachable(cpus).build().expect("this machine can be had")
}

fn attach(machine: &Machine, cpu: u32, guest: Fake) -> Vcpu<'_, Fake> {
    match Vcpu::attach(machine, cpu, guest, signal()) {
        Ok(vcpu) => vcpu,
        Err((why, _)) => panic!("CPU {cpu}: {why}"),
    }
}

/// A thread that runs that guest until the machine ends, and returns it and how often it left by itself. The CPU is online when this returns.
fn spawn<'s, 'm>(
    scope: &'s Scope<'s, 'm>,
    machine: &'m Machine,
    cpu: u32,
    guest: impl FnOnce() -> Fake + Send + 's,
) -> ScopedJoinHandle<'s, (Fake, u64)> {
    let vcpu = scope.spawn(move || {
        let mut vcpu = attach(machine, cpu, guest());
        let mut exits = 0;
        loop {
            match vcpu.run(|exit: Exit| assert_ne!(exit, Exit::Slept)).expect("it runs") {
                Ran::Exit(()) => exits += 1,
                Ran::Kicked(_) => {}
                Ran::ShutDown => return (vcpu.into_guest(), exits),
            }
        }
    });
    while !machine.is_online_racy(cpu) {
        thread::yield_now();
    }
    vcpu
}
