//! Waiting calls: results, borrowed memory, where they ran; what is refused; panics.

use super::super::checks::Checks;
use super::Site;
use crate::threads::spawn;
use anyhow::Result;
use smpcall_host::smpcall::{CallError, Platform, PostError, Posted};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub(super) fn check(site: &Site<'_>, checks: &mut Checks) -> Result<()> {
    for cpu in site.cpus() {
        results(site, cpu, checks);
    }
    from_every_cpu(site, checks)?;
    refusals(site, checks);
    panics(site, checks);
    Ok(())
}

fn results(site: &Site<'_>, cpu: u32, checks: &mut Checks) {
    let mut borrowed = [0_u32; 32];
    let machine = site.machine;
    let ran_on = machine.call(cpu, || {
        for (place, number) in borrowed.iter_mut().zip(1..) {
            *place = number;
        }
        machine.platform().current_cpu()
    });
    checks.that("P1", "a waiting call runs on the CPU it names", ran_on == Ok(Some(cpu)));
    let right = borrowed.iter().zip(1..).filter(|(place, number)| **place == *number).count();
    checks.all("P4", "what a waiting call wrote is visible", right as u64, borrowed.len() as u64);
}

/// Threads that only call, one for each of a few CPUs, all at the same time, while this CPU serves its queue.
fn from_every_cpu(site: &Site<'_>, checks: &mut Checks) -> Result<()> {
    const CALLS: u64 = 20;
    let machine = &**site.machine;
    let partners = site.partners(0);
    let right = std::thread::scope(|scope| {
        let callers: Vec<Result<_>> = partners
            .clone()
            .map(|cpu| {
                let calls =
                    move || (0..CALLS).filter(|n| machine.call(cpu, || n * 3) == Ok(n * 3)).count() as u64;
                spawn(scope, calls)
            })
            .collect();
        // Calls to this very CPU are among them, also where some callers could not be started.
        site.serve_until(|| callers.iter().flatten().all(|caller| caller.is_finished()));
        callers.into_iter().map(|caller| Ok(caller?.join().unwrap_or(0))).sum::<Result<u64>>()
    })?;
    checks.all("P4", "calls of many threads give back their results", right, CALLS * partners.count() as u64);
    Ok(())
}

fn refusals(site: &Site<'_>, checks: &mut Checks) {
    let (machine, none) = (site.machine, site.machine.cpus_len());
    let (target, own) = (site.target(), site.own());
    let inner = machine.call(target, || machine.call(own, || ()));
    let expected = if target == own { Ok(()) } else { Err(CallError::WouldDeadlock) };
    checks.that("P10", "a call from call context to another CPU is refused", inner == Ok(expected));
    checks.that("P1", "a call to no CPU is refused", machine.call(none, || ()) == Err(CallError::NoSuchCpu));
    let csd = super::counted(|| ());
    checks.that("P1", "a post to no CPU is refused", machine.post(none, &csd) == Err(PostError::NoSuchCpu));
    checks.that("P1", "what is refused is not pending", !csd.is_pending());
}

fn panics(site: &Site<'_>, checks: &mut Checks) {
    let target = site.target();
    // Unwinds as a panic does, without the message on standard error.
    let throw = || -> u32 { resume_unwind(Box::new(7_u32)) };
    let caught = catch_unwind(AssertUnwindSafe(|| site.machine.call(target, throw)));
    let payload = caught.err().and_then(|panic| panic.downcast_ref::<u32>().copied());
    checks.that("P11", "a panic reaches its caller", payload == Some(7));
    checks.that("P11", "the target goes on after a panic", site.machine.call(target, || 1) == Ok(1));
    if target == site.own() {
        return;
    }
    let before = site.machine.counts().panics;
    let csd = super::counted(|| resume_unwind(Box::new(())));
    let ran = site.machine.post(target, &csd).is_ok_and(Posted::is_queued) && site.settled(&csd);
    checks.that("P11", "a csd whose function panics is done", ran);
    checks.that("P11", "the target goes on after it", site.machine.call(target, || 2) == Ok(2));
    checks.same("P12", "a panic that nobody waits for is counted", site.machine.counts().panics - before, 1);
}
