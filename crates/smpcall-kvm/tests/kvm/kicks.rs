//! No kick is lost.

use crate::bounded::bounded;
use crate::vm::{HALTS, LEAVES, SPINS, Vm};
use crate::{machine, spawn};
use kvm_ioctls::VcpuFd;
use smpcall_host::Counts;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// How many of the cheap ones: `SMPCALL_KVM_KICKS`, or what a short run has time for.
fn kicks() -> u64 {
    let asked = std::env::var("SMPCALL_KVM_KICKS").ok();
    asked.map_or(20_000, |text| text.parse().expect("SMPCALL_KVM_KICKS is a number"))
}

/// What came of calls from three threads.
struct Kicked {
    wakes: u64,
    /// How often each guest left by itself.
    exits: Vec<u64>,
}

/// Calls from three threads to those guests. Each of the calls is one that a kick, or the guest's own exit, has got through; one that
/// was lost would hang, and there is no other way out.
fn kick(guests: Vec<(Vm, VcpuFd)>, calls: u64) -> Kicked {
    const CALLERS: u64 = 3;
    let (machine, runs) = (machine(guests.len()), AtomicU64::new(0));
    let cpus = u32::try_from(guests.len()).expect("few");
    let (vms, vcpus): (Vec<_>, Vec<_>) = guests.into_iter().unzip();
    let each = calls.div_ceil(CALLERS);
    let began = Instant::now();
    let exits = thread::scope(|scope| {
        let vcpus: Vec<_> = (0..).zip(vcpus).map(|(cpu, guest)| spawn(scope, &machine, cpu, guest)).collect();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (machine, runs) = (&machine, &runs);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(caller);
                    for _ in 0..each {
                        // Relaxed: the call's end makes it visible.
                        let run = || runs.fetch_add(1, Ordering::Relaxed);
                        machine.call(random.u32(0..cpus), run).expect("it is online");
                    }
                })
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().expect("each call returns"));
        machine.shutdown().expect("this thread is no CPU");
        vcpus.into_iter().map(|vcpu| vcpu.join().expect("it ends").1).collect::<Vec<_>>()
    });
    let (Counts { wakes, stalls, .. }, took) = (machine.counts(), began.elapsed());
    println!(
        "{} calls in {took:.1?}: {wakes} signals; the guests left by themselves {exits:?} times",
        CALLERS * each
    );
    // Relaxed: all have ended.
    assert_eq!((runs.load(Ordering::Relaxed), stalls), (CALLERS * each, 0));
    drop(vms);
    Kicked { wakes, exits }
}

#[test]
#[cfg_attr(not(has_kvm), ignore = "no /dev/kvm")]
fn none_is_lost_by_guests_that_sleep_in_the_kernel() {
    let _bounded = bounded();
    let Kicked { wakes, exits } = kick([(); 3].map(|()| Vm::asleep()).into(), kicks());
    assert!(wakes > 0 && exits == [0; 3], "{wakes} signals, {exits:?}");
}

/// Fewer: with more guests that compute than there are cores, a call takes as long as its guest's thread waits for one.
#[test]
#[cfg_attr(not(has_kvm), ignore = "no /dev/kvm")]
fn none_is_lost_by_guests_that_spin_and_that_leave_all_the_time() {
    let _bounded = bounded();
    let Kicked { wakes, exits } = kick([SPINS, LEAVES, HALTS].map(Vm::new).into(), kicks() / 20);
    assert!(wakes > 0 && exits[0] == 0 && exits[1] > 0 && exits[2] > 0, "{wakes} signals, {exits:?}");
}

/// One caller, one guest that never leaves: a call is one signal, or none if the guest was not entered yet.
#[test]
#[cfg_attr(not(has_kvm), ignore = "no /dev/kvm")]
fn a_call_takes_one_signal_and_no_more() {
    let _bounded = bounded();
    let (machine, (vm, vcpu)) = (machine(1), Vm::new(SPINS));
    let calls = kicks() / 10;
    thread::scope(|scope| {
        let vcpu = spawn(scope, &machine, 0, vcpu);
        for _ in 0..calls {
            machine.call(0, || ()).expect("it is online");
        }
        let wakes = machine.counts().wakes;
        println!("{calls} calls: {wakes} signals");
        assert!((1..=calls).contains(&wakes), "P7: {wakes}");
        machine.shutdown().expect("this thread is no CPU");
        vcpu.join().expect("it ends");
    });
    drop(vm);
}
