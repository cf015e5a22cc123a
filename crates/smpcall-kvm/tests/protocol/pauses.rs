//! Pauses: a vCPU that is paused does not enter its guest, answers calls, and goes on when it is resumed.

use crate::bounded::{bounded, eventually};
use crate::fake::{Exit, Fake, Next};
use crate::{attach, machine, spawn};
use smpcall_host::smpcall::{CallError, To};
use smpcall_kvm::{GuestError, Ran, VcpuError, Vcpus, pause_here, resume_here};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn a_paused_vcpu_is_out_of_its_guest_until_it_was_resumed_as_often() {
    let _bounded = bounded();
    let machine = machine(1);
    thread::scope(|scope| {
        let guest = Fake::new();
        // Relaxed: a count, read when the vCPU's thread is known to be out of the guest.
        let entries = (guest.entries(), |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed));
        let so_far = || entries.1(&entries.0);
        let vcpu = spawn(scope, &machine, 0, move || guest);
        for round in 0..200 {
            machine.pause_vcpu(0).expect("it is online");
            let paused_at = so_far();
            if round % 3 == 0 {
                machine.pause_vcpu(0).expect("it is online");
                machine.call_vcpu(0, |guest: &mut Fake| assert!(!guest.is_half_done())).expect("it answers");
                machine.resume_vcpu(0).expect("it is paused");
            }
            if round == 100 {
                // As long as others send their kicks for.
                thread::sleep(Duration::from_millis(20));
            }
            machine.call(0, || ()).expect("it answers");
            assert_eq!(so_far(), paused_at, "round {round}");
            machine.resume_vcpu(0).expect("it is paused");
            assert_eq!(machine.resume_vcpu(0), Err(VcpuError::Guest(GuestError::NotPaused)));
            eventually(|| so_far() > paused_at);
        }
        machine.shutdown().expect("this thread is no CPU");
        vcpu.join().expect("it ends");
    });
}

#[test]
fn what_a_paused_vcpu_had_half_done_is_finished_first() {
    let _bounded = bounded();
    let machine = machine(1);
    let mut vcpu = attach(&machine, 0, Fake::script([Next::Exit(Exit::Io(4))]));
    let in_exit = AtomicBool::new(false);
    thread::scope(|scope| {
        let pauser = scope.spawn(|| {
            // Acquire: pairs with the handler.
            eventually(|| in_exit.load(Ordering::Acquire));
            machine.pause_vcpu(0).expect("it is online");
            let finished = machine.call_vcpu(0, |guest: &mut Fake| guest.finished);
            machine.resume_vcpu(0).expect("it is paused");
            machine.shutdown().expect("this thread is no CPU");
            finished
        });
        let mut exits = Vec::new();
        loop {
            let handle = |exit| {
                // Release: the pause may come from now on.
                in_exit.store(true, Ordering::Release);
                exit
            };
            match vcpu.run(handle).expect("it runs") {
                Ran::Exit(exit) => exits.push(exit),
                Ran::Kicked(_) => {}
                Ran::ShutDown => break,
            }
        }
        assert_eq!(pauser.join().expect("it returns"), Ok(4));
        assert_eq!((exits, vcpu.with(|guest| guest.finished)), (vec![Exit::Io(4)], 4));
    });
}

#[test]
fn all_are_paused_and_resumed_by_one_multicast_and_others_are_not_counted() {
    let _bounded = bounded();
    let machine = machine(4);
    thread::scope(|scope| {
        let guests = [(); 3].map(|()| Fake::new());
        let entries: Vec<_> = guests.iter().map(Fake::entries).collect();
        // Relaxed: as above.
        let so_far = || entries.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let mut vcpus = Vec::new();
        for (cpu, guest) in (0..).zip(guests) {
            vcpus.push(spawn(scope, &machine, cpu, move || guest));
        }
        // A CPU of that machine that runs no guest.
        let plain = scope.spawn(|| {
            let mut here = machine.attach(3).expect("nobody else is");
            while !machine.is_shut_down() {
                here.park(None);
            }
        });
        eventually(|| machine.is_online_racy(3));
        for _ in 0..50 {
            assert_eq!(machine.pause_vcpus(To::All), Ok(3));
            let before = so_far();
            machine.call_many(To::All, || ()).expect("they answer");
            assert_eq!(so_far(), before);
            assert_eq!(machine.resume_vcpus(To::All), Ok(3));
            eventually(|| so_far().iter().zip(&before).all(|(now, then)| now > then));
        }
        assert_eq!(machine.resume_vcpus(To::All), Ok(0));
        assert_eq!(machine.pause_vcpu(3), Err(VcpuError::Guest(GuestError::NoSuchGuest)));
        assert_eq!(
            (pause_here(), resume_here()),
            (Err(GuestError::NoSuchGuest), Err(GuestError::NoSuchGuest))
        );
        machine.shutdown().expect("this thread is no CPU");
        vcpus.into_iter().for_each(|vcpu| _ = vcpu.join().expect("it ends"));
        plain.join().expect("it ends");
    });
    assert_eq!(machine.pause_vcpu(0), Err(VcpuError::Call(CallError::Offline)));
}
