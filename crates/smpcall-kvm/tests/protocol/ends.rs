//! How a vCPU begins and ends: refusals, threads that are gone, machines that are.

use crate::bounded::{bounded, eventually};
use crate::fake::{Exit, Fake, signal};
use crate::{attach, machine, spawn};
use nix::libc;
use nix::unistd::gettid;
use smpcall_host::smpcall::{CallError, Csd, Posted, WhyRefused};
use smpcall_host::{AttachError, Machine, Signal};
use smpcall_kvm::{Ran, Vcpu, VcpuAttachError, VcpuError, Vcpus};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

fn refused(machine: &Machine, cpu: u32, signal: i32) -> AttachError {
    let mut guest = Fake::new();
    guest.finished = 9;
    match Vcpu::attach(machine, cpu, guest, signal) {
        Err((VcpuAttachError::Attach(why), guest)) => {
            assert_eq!(guest.finished, 9, "it is handed back");
            why
        }
        other => panic!("it was not refused: {:?}", other.map_err(|(why, _)| why)),
    }
}

fn is_blocked(number: i32) -> bool {
    // SAFETY: the set is filled before it is read.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set);
        libc::sigismember(&raw const set, number) == 1
    }
}

#[test]
fn what_cannot_be_a_vcpu_is_refused_by_name_and_gets_its_guest_back() {
    let _bounded = bounded();
    let machine = machine(2);
    assert!(matches!(refused(&machine, 5, signal()), AttachError::NotAttachable));
    for number in [0, 1_000, libc::SIGKILL, libc::SIGSEGV] {
        assert!(matches!(refused(&machine, 0, number), AttachError::NoSuchSignal(its) if its == number));
    }
    // Rust's own runtime ignores it.
    assert!(matches!(refused(&machine, 0, libc::SIGPIPE), AttachError::SignalTaken(libc::SIGPIPE)));
    // One that another doorbell has.
    let interrupts = Signal::real_time(4).expect("there are more");
    // SAFETY: nothing is posted.
    drop(unsafe { machine.attach_interrupted(1, interrupts) }.expect("nobody else is"));
    assert!(matches!(refused(&machine, 0, interrupts), AttachError::SignalTaken(its) if its == interrupts));
    let vcpu = attach(&machine, 0, Fake::new());
    assert!(matches!(refused(&machine, 1, signal()), AttachError::ThreadIsACpu));
    let taken = thread::scope(|scope| scope.spawn(|| refused(&machine, 0, signal())).join());
    assert!(matches!(taken.expect("it only tries"), AttachError::Taken));
    drop(vcpu);
    drop(attach(&machine, 1, Fake::new()));
    machine.shutdown().expect("this thread is no CPU");
    assert!(matches!(refused(&machine, 0, signal()), AttachError::ShutDown));
}

#[test]
fn the_signal_is_open_in_a_vcpus_thread_and_afterwards_as_it_was() {
    let _bounded = bounded();
    let machine = machine(1);
    let mask = |how| {
        // SAFETY: the set is filled before it is read.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, signal());
            assert_eq!(libc::pthread_sigmask(how, &raw const set, std::ptr::null_mut()), 0);
        }
    };
    for (how, was_blocked) in [(libc::SIG_BLOCK, true), (libc::SIG_UNBLOCK, false)] {
        mask(how);
        let vcpu = attach(&machine, 0, Fake::new());
        assert!(!is_blocked(signal()));
        drop(vcpu);
        assert_eq!(is_blocked(signal()), was_blocked);
        mask(how);
        assert!(matches!(refused(&machine, 7, signal()), AttachError::NotAttachable));
        assert_eq!(is_blocked(signal()), was_blocked);
    }
}

#[test]
fn a_vcpu_that_has_ended_is_offline_and_what_it_had_accepted_has_run() {
    let _bounded = bounded();
    let machine = machine(1);
    for _ in 0..200 {
        let runs = Arc::new(AtomicU32::new(0));
        let (queued, ended) = thread::scope(|scope| {
            let vcpu = scope.spawn(|| {
                let mut vcpu = attach(&machine, 0, Fake::new());
                // The first kick gets it out, and it ends while others come.
                assert!(matches!(vcpu.run(|_: Exit| ()), Ok(Ran::Kicked(_))));
            });
            eventually(|| machine.is_online_racy(0));
            let mut queued = 0;
            let ended = loop {
                let runs = Arc::clone(&runs);
                // Relaxed: read when the thread was joined.
                match machine.post_boxed(0, move || _ = runs.fetch_add(1, Ordering::Relaxed)) {
                    Ok(()) => queued += 1,
                    Err(refused) => break refused.why,
                }
            };
            vcpu.join().expect("it ends");
            (queued, ended)
        });
        // Relaxed: as above.
        assert_eq!((runs.load(Ordering::Relaxed), ended), (queued, WhyRefused::Offline));
    }
    assert_eq!(machine.call_vcpu(0, |_: &mut Fake| ()), Err(VcpuError::Call(CallError::Offline)));
    assert_eq!(machine.pause_vcpu(0), Err(VcpuError::Call(CallError::Offline)));
}

/// A guest's own run panics, its vCPU is leaked, and its thread ends: for all that others know it is in the guest.
#[test]
fn a_thread_that_ended_without_leaving_cannot_be_rung_and_that_is_said() {
    let _bounded = bounded();
    let (machine, csd) = (machine(1), Arc::new(Csd::new(|| ())));
    thread::scope(|scope| {
        let vcpu = scope.spawn(|| {
            let before = || std::panic::resume_unwind(Box::new("thrown"));
            let mut vcpu = attach(&machine, 0, Fake { before: Box::new(before), ..Fake::new() });
            let thrown = catch_unwind(AssertUnwindSafe(|| vcpu.run(|exit| exit)));
            assert_eq!(thrown.expect_err("it panics").downcast_ref(), Some(&"thrown"));
            std::mem::forget(vcpu);
            gettid()
        });
        let thread = vcpu.join().expect("it ends").as_raw();
        // The kernel takes its number back a moment after it was joined.
        // SAFETY: asks whether there is such a thread, and sends nothing.
        eventually(|| unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), thread, 0) } == -1);
    });
    assert_eq!(machine.post(0, &csd), Ok(Posted::Queued), "what is posted stays, whoever is to run it");
    assert!(machine.is_unrung_racy(0), "the poster may ask");
    assert_eq!((machine.ring_owed(), machine.post(0, &csd)), (1, Ok(Posted::Busy { cpu: 0 })));
}

#[test]
fn the_end_of_the_machine_gets_every_vcpu_out_paused_or_not() {
    let _bounded = bounded();
    for paused in [false, true] {
        let machine = machine(3);
        thread::scope(|scope| {
            let vcpus: Vec<_> = (0..3).map(|cpu| spawn(scope, &machine, cpu, Fake::new)).collect();
            if paused {
                machine.pause_vcpu(1).expect("it is online");
            }
            machine.shutdown().expect("this thread is no CPU");
            vcpus.into_iter().for_each(|vcpu| _ = vcpu.join().expect("it ends"));
        });
        assert_eq!(machine.call(0, || ()), Err(CallError::Offline));
    }
}

#[test]
fn a_thread_may_be_a_vcpu_again_with_another_guest() {
    let _bounded = bounded();
    let machine = machine(1);
    for round in 0..20 {
        let mut vcpu = attach(&machine, 0, Fake::new());
        vcpu.with(|guest| guest.finished = round);
        assert_eq!(machine.call(0, || smpcall_kvm::pause_here().is_ok()), Ok(true), "to itself");
        assert_eq!(vcpu.into_guest().finished, round);
    }
    let mut vcpu = attach(&machine, 0, Fake::new());
    machine.post_detached(0, || ()).expect("it is online");
    assert!(matches!(vcpu.run(|_: Exit| ()), Ok(Ran::Kicked(1))), "it is not paused");
}
