//! What others ask of a vCPU.

use crate::bounded::{bounded, eventually};
use crate::vm::{CODE, COUNTS, READS, SPINS, Vm};
use crate::{machine, spawn};
use kvm_ioctls::VcpuFd;
use smpcall_host::smpcall::{CallError, To};
use smpcall_kvm::{VcpuError, Vcpus, with_guest};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[test]
#[cfg_attr(not(has_kvm), ignore = "no /dev/kvm")]
fn a_guest_that_counts_stands_still_while_it_is_paused() {
    let _bounded = bounded();
    let machine = machine(2);
    let (vms, vcpus): (Vec<_>, Vec<_>) = [COUNTS, COUNTS].map(Vm::new).into_iter().unzip();
    let memory: Vec<_> = vms.iter().map(|vm| Arc::clone(&vm.memory)).collect();
    let counts = || memory.iter().map(|memory| memory.count()).collect::<Vec<_>>();
    thread::scope(|scope| {
        let vcpus: Vec<_> = (0..).zip(vcpus).map(|(cpu, guest)| spawn(scope, &machine, cpu, guest)).collect();
        for round in 0..100 {
            let before = counts();
            eventually(|| counts().iter().zip(&before).all(|(now, then)| now != then));
            assert_eq!(machine.pause_vcpus(To::All), Ok(2));
            let paused = counts();
            if round % 10 == 0 {
                thread::sleep(Duration::from_millis(5));
            }
            // What it has counted is in its register, and in memory by now, or with its next store.
            let in_register = machine.call_vcpu(1, |vcpu: &mut VcpuFd| vcpu.get_regs().map(|regs| regs.rbx));
            let ahead = in_register.expect("it answers").expect("it has them") as u32 - paused[1];
            assert!(ahead <= 1, "{ahead}");
            assert_eq!(counts(), paused, "round {round}");
            assert_eq!(machine.resume_vcpus(To::All), Ok(2));
        }
        machine.shutdown().expect("this thread is no CPU");
        vcpus.into_iter().for_each(|vcpu| _ = vcpu.join().expect("it ends"));
    });
    assert_eq!(machine.pause_vcpu(0), Err(VcpuError::Call(CallError::Offline)));
    drop(vms);
}

/// `in` is half done while its exit is answered: the register has not got what was read, and the instruction's end is to come. No
/// function finds it so.
#[test]
#[cfg_attr(not(has_kvm), ignore = "no /dev/kvm")]
fn a_function_finds_no_read_of_a_port_half_done() {
    let _bounded = bounded();
    let (machine, (vm, vcpu)) = (machine(1), Vm::new(READS));
    thread::scope(|scope| {
        let vcpu = spawn(scope, &machine, 0, vcpu);
        for _ in 0..2_000 {
            let regs = machine.call_vcpu(0, |vcpu: &mut VcpuFd| vcpu.get_regs());
            let regs = regs.expect("it answers").expect("it has them");
            // Before the first read nothing has run. Else it is at any instruction, and has what it has read.
            assert!(regs.rip == CODE as u64 && regs.rbx == 0 || regs.rax & 0xff == 7, "{regs:?}");
        }
        // The instruction that it stands at was not begun: set elsewhere, it goes on there.
        let moved = machine.call(0, || {
            with_guest(|vcpu: &mut VcpuFd| {
                let mut regs = vcpu.get_regs()?;
                (regs.rip, regs.rax, regs.rbx) = (CODE as u64, 0, 1 << 20);
                vcpu.set_regs(&regs)
            })
        });
        assert_eq!(moved, Ok(Ok(Ok(()))));
        eventually(|| {
            let regs = machine.call_vcpu(0, |vcpu: &mut VcpuFd| vcpu.get_regs());
            regs.expect("it answers").expect("it has them").rbx > 1 << 20
        });
        machine.shutdown().expect("this thread is no CPU");
        let (guest, exits) = vcpu.join().expect("it ends");
        assert!(exits > 0 && guest.get_regs().expect("it has them").rbx > 1 << 20);
    });
    drop(vm);
}

#[test]
#[cfg_attr(not(has_kvm), ignore = "no /dev/kvm")]
fn a_vcpus_page_may_be_unmapped_by_kvms_wrapper_before_the_last_ring() {
    let _bounded = bounded();
    let (machine, (vm, vcpu)) = (machine(1), Vm::new(SPINS));
    thread::scope(|scope| {
        let posters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !machine.is_shut_down() {
                        // Offline before and after.
                        let _ = machine.call(0, || ());
                    }
                })
            })
            .collect();
        let mut guest = vcpu;
        for _ in 0..50 {
            // Attached, run, and taken out of the machine, under calls.
            let signal = smpcall_host::Signal::real_time(3).expect("there are more");
            let mut vcpu =
                smpcall_kvm::Vcpu::attach(&machine, 0, guest, signal).map_err(|(why, _)| why).expect("free");
            for _ in 0..5 {
                vcpu.run(|exit| panic!("{exit:?}")).expect("it runs");
            }
            guest = vcpu.into_guest();
        }
        machine.shutdown().expect("this thread is no CPU");
        posters.into_iter().for_each(|poster| poster.join().expect("it only calls"));
    });
    drop(vm);
}
