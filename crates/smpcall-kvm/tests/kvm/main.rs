//! vCPUs of KVM's, with guests of a few instructions. Where there is no `/dev/kvm`, each is counted as ignored.

#![cfg(target_arch = "x86_64")]

#[path = "../common/bounded.rs"]
mod bounded;
#[path = "../common/vm.rs"]
mod vm;

mod kicks;
mod pauses;

use kvm_ioctls::{VcpuExit, VcpuFd};
use smpcall_host::{Machine, Signal};
use smpcall_kvm::{Ran, Vcpu};
use std::thread::{self, Scope, ScopedJoinHandle};

fn machine(cpus: usize) -> Machine {
    Machine::builder().attachable(cpus).build().expect("this machine can be had")
}

/// A thread that runs that vCPU until the machine ends, and returns it, and how often its guest left by itself.
fn spawn<'s, 'm>(
    scope: &'s Scope<'s, 'm>,
    machine: &'m Machine,
    cpu: u32,
    guest: VcpuFd,
) -> ScopedJoinHandle<'s, (VcpuFd, u64)> {
    let vcpu = scope.spawn(move || {
        let signal = Signal::real_time(3).expect("there are more");
        let mut vcpu =
            Vcpu::attach(machine, cpu, guest, signal).map_err(|(why, _)| why).expect("nobody else is");
        let mut exits = 0;
        let handle = |exit: VcpuExit<'_>| match exit {
            VcpuExit::IoIn(0x10, data) => data.fill(7),
            VcpuExit::IoOut(0x10, _) | VcpuExit::Hlt => {}
            other => panic!("it leaves for {other:?}"),
        };
        loop {
            match vcpu.run(handle).expect("it runs") {
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
