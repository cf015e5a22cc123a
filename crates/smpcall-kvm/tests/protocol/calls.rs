//! Functions that reach the guest.

use crate::bounded::{bounded, eventually};
use crate::fake::{Exit, Fake, Next};
use crate::{attach, machine, spawn};
use smpcall_host::Machine;
use smpcall_host::smpcall::CallError;
use smpcall_kvm::{GuestError, Ran, RunError, Vcpu, VcpuError, Vcpus, with_guest};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn a_function_finds_the_guest_on_its_own_thread_with_nothing_half_done() {
    const EXITS: u32 = 300;
    let _bounded = bounded();
    let machine = machine(2);
    thread::scope(|scope| {
        let exits = (0..EXITS).map(|_| Next::Exit(Exit::Io(1)));
        let vcpu = spawn(scope, &machine, 0, || Fake::script(exits));
        let mut finished = 0;
        while finished < EXITS {
            let (now, half_done, thread) = machine
                .call_vcpu(0, |guest: &mut Fake| {
                    (guest.finished, guest.is_half_done(), thread::current().id())
                })
                .expect("it is online");
            assert!(now >= finished && !half_done && thread == vcpu.thread().id());
            finished = now;
        }
        // In functions of other shapes, too; and not elsewhere, nor as another type.
        assert_eq!(machine.call(0, || with_guest(|guest: &mut Fake| guest.finished)), Ok(Ok(EXITS)));
        assert_eq!(with_guest(|_: &mut Fake| ()), Err(GuestError::NoSuchGuest));
        let other = machine.call_vcpu(0, |_: &mut kvm_ioctls::VcpuFd| ());
        assert_eq!(other, Err(VcpuError::Guest(GuestError::NoSuchGuest)));
        assert_eq!(machine.call_vcpu(1, |_: &mut Fake| ()), Err(VcpuError::Call(CallError::Offline)));
        assert_eq!(machine.call_vcpu(2, |_: &mut Fake| ()), Err(VcpuError::Call(CallError::NoSuchCpu)));
        machine.shutdown().expect("this thread is no CPU");
        vcpu.join().expect("it ends");
    });
}

/// A vCPU whose handler of its one exit calls the other by `call`, at the same time as that one's.
fn crossed(machine: &Machine, cpu: u32, in_exit: &[AtomicBool; 2], call: impl FnOnce(&Machine, u32)) {
    let mut vcpu = attach(machine, cpu, Fake::script([Next::Exit(Exit::Io(1))]));
    let ran = vcpu.run(|_| {
        // Release: shows that this one answers an exit. Acquire: the other's.
        in_exit[cpu as usize].store(true, Ordering::Release);
        // Acquire: as above.
        eventually(|| in_exit.iter().all(|is| is.load(Ordering::Acquire)));
        call(machine, 1 - cpu);
    });
    assert_eq!(ran.expect("it runs"), Ran::Exit(()));
    while vcpu.run(|_| ()).expect("it runs") != Ran::ShutDown {}
}

/// Two vCPUs that are [`crossed`], fifty times; the second whose call has come back ends the machine.
fn two_crossed(call: impl Fn(&Machine, u32) + Sync) {
    let _bounded = bounded();
    for _ in 0..50 {
        let (machine, in_exit) = (&machine(2), &[const { AtomicBool::new(false) }; 2]);
        let done = AtomicBool::new(false);
        let call_and_end = |machine: &Machine, cpu| {
            call(machine, cpu);
            // AcqRel: the second of the two ends it.
            if done.swap(true, Ordering::AcqRel) {
                machine.shutdown().expect("attached threads may");
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| crossed(machine, 0, in_exit, call_and_end));
            crossed(machine, 1, in_exit, call_and_end);
        });
    }
}

#[test]
fn p10_handlers_of_exits_that_call_each_other_both_finish() {
    two_crossed(|machine, cpu| {
        let reached = machine.call(cpu, || with_guest(|guest: &mut Fake| guest.finished));
        // It came inside of the other's handler, or when that had gone on.
        assert!(matches!(reached, Ok(Ok(1) | Err(GuestError::InExit))), "{reached:?}");
    });
}

#[test]
fn p10_two_that_reach_for_each_others_guests_in_their_handlers_are_told() {
    two_crossed(|machine, cpu| {
        let reached = machine.call_vcpu(cpu, |guest: &mut Fake| guest.finished);
        let in_exit = Err(VcpuError::Guest(GuestError::InExit));
        assert!(reached == Ok(1) || reached == in_exit, "{reached:?}");
    });
}

#[test]
fn what_reaches_for_the_guest_waits_for_a_handler_that_waits_in_a_plain_call() {
    let _bounded = bounded();
    let machine = machine(2);
    let (asked, seen) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let other = spawn(scope, &machine, 1, Fake::new);
        let mut vcpu = attach(&machine, 0, Fake::script([Next::Exit(Exit::Io(5))]));
        let caller = scope.spawn(|| {
            // Acquire: the exit is being answered.
            eventually(|| asked.load(Ordering::Acquire));
            let finished = machine.call_vcpu(0, |guest: &mut Fake| guest.finished);
            // Release: pairs with the handler's look.
            seen.store(true, Ordering::Release);
            machine.shutdown().expect("this thread is no CPU");
            finished
        });
        let ran = vcpu.run(|_| {
            // Release: pairs with the caller's look.
            asked.store(true, Ordering::Release);
            for _ in 0..200 {
                machine.call(1, || ()).expect("it is online");
            }
            // Acquire: pairs with the caller.
            assert!(!seen.load(Ordering::Acquire), "it came inside of the handler");
        });
        assert_eq!(ran.expect("it runs"), Ran::Exit(()));
        while vcpu.run(|_| ()).expect("it runs") != Ran::ShutDown {}
        assert_eq!(caller.join().expect("it returns"), Ok(5));
        other.join().expect("it ends");
    });
}

#[test]
fn the_guests_own_error_is_handed_on_and_it_may_be_run_again() {
    let _bounded = bounded();
    let machine = machine(1);
    let next = [Next::Fail(nix::libc::EFAULT), Next::Fail(nix::libc::EAGAIN), Next::Exit(Exit::Halted)];
    let mut vcpu = attach(&machine, 0, Fake::script(next));
    match vcpu.run(|exit| exit) {
        Err(RunError::Guest(error)) => assert_eq!(error.raw_os_error(), Some(nix::libc::EFAULT)),
        other => panic!("{other:?}"),
    }
    assert_eq!(vcpu.run(|exit| exit).expect("it is to be tried again"), Ran::Kicked(0));
    assert_eq!(vcpu.run(|exit| exit).expect("it runs"), Ran::Exit(Exit::Halted));
    machine.post_detached(0, || ()).expect("it is online");
    assert_eq!(vcpu.park(None).expect("nothing is half done"), 1);
}

#[test]
fn nothing_runs_while_an_exit_is_half_done_and_a_handler_that_panics_leaves_all_as_it_was() {
    let _bounded = bounded();
    let machine = machine(1);
    let mut vcpu = attach(&machine, 0, Fake::script([Next::Exit(Exit::Io(3)), Next::Exit(Exit::Io(4))]));
    let thrown = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        vcpu.run(|_| std::panic::resume_unwind(Box::new("thrown")))
    }));
    assert_eq!(thrown.expect_err("it panics").downcast_ref(), Some(&"thrown"));
    machine.post_detached(0, || ()).expect("it is online");
    assert!(matches!(vcpu.poll(), Err(RunError::HalfDone)));
    assert!(matches!(vcpu.park(None), Err(RunError::HalfDone)));
    assert_eq!(machine.counts().wakes, 0, "it is out of the guest");
    assert_eq!(vcpu.run(|exit| exit).expect("it runs"), Ran::Kicked(1));
    assert_eq!(vcpu.run(|exit| exit).expect("it runs"), Ran::Exit(Exit::Io(4)));
    assert_eq!(vcpu.into_guest().finished, 3);
}

thread_local! {
    static KEPT: RefCell<Option<Vcpu<'static, Fake>>> = const { RefCell::new(None) };
}

#[test]
fn a_guest_is_not_run_from_inside_of_a_function() {
    let _bounded = bounded();
    let machine: &'static Machine = Box::leak(Box::new(machine(1)));
    KEPT.set(Some(attach(machine, 0, Fake::new())));
    let run = || {
        KEPT.with_borrow_mut(|vcpu| {
            let ran = vcpu.as_mut().expect("it is kept").run(|exit| exit);
            matches!(ran, Err(RunError::InCall))
        })
    };
    assert_eq!((machine.call(0, run), machine.call_blocking(0, run)), (Ok(true), Ok(true)));
    KEPT.take();
    assert_eq!(machine.call(0, || ()), Err(CallError::Offline));
}
