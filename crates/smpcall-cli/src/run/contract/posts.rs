//! Asynchronous posts: from every CPU to every other, many posters of one csd, posts from inside, order, cancel.

use super::super::checks::Checks;
use super::{Counted, Site, counted, queued};
use crate::pace::linger_until;
use smpcall_host::smpcall::{Cancel, Coalesced, Csd, Platform, Posted};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

pub(super) fn check(site: &Site<'_>, checks: &mut Checks) {
    pairs(site, checks);
    one_csd_many_posters(site, checks);
    from_inside(site, checks);
    in_order(site, checks);
    cancelled(site, checks);
}

/// A count that functions add to and the checks read.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

impl Count {
    fn add(&self, more: bool) {
        // AcqRel: a csd's runs follow one another on several CPUs; pairs with `get`.
        self.0.fetch_add(more.into(), Ordering::AcqRel);
    }

    fn get(&self) -> u64 {
        // Acquire: pairs with `add`.
        self.0.load(Ordering::Acquire)
    }
}

/// Each CPU posts to each, itself too.
fn pairs(site: &Site<'_>, checks: &mut Checks) {
    for source in site.cpus() {
        let (ran, ran_here) = (Count::default(), Count::default());
        let csds: Vec<_> = site
            .partners(source)
            .map(|target| {
                let (machine, ran, ran_here) = (Arc::clone(site.machine), ran.clone(), ran_here.clone());
                let function = move || {
                    ran_here.add(machine.platform().current_cpu() == Some(target));
                    ran.add(true);
                };
                (target, counted(function))
            })
            .collect();
        let machine = site.machine;
        let accepted = machine.call(source, || queued(machine, csds.iter().map(|(cpu, csd)| (*cpu, csd))));
        let came = csds.iter().filter(|(_, csd)| site.settled(csd)).count() as u64;
        let all = csds.len() as u64;
        checks.all("P1", "a post of a free csd is accepted", accepted.unwrap_or(0), all);
        checks.all("P1", "a post that returned Ok runs", came, all);
        checks.same("P1", "posts run as often as they returned Ok", ran.get(), all);
        checks.all("P1", "a post runs on the CPU it names", ran_here.get(), all);
    }
}

/// What one poster of the shared csd has written, and how it was answered.
#[derive(Default)]
struct Poster {
    written: AtomicU64,
    seen: AtomicU64,
    accepted: Count,
    misnamed: Count,
}

/// Several CPUs post the same csd to one target, each a few hundred times, and write before each post.
fn one_csd_many_posters(site: &Site<'_>, checks: &mut Checks) {
    const POSTS: u64 = 300;
    let (target, runs) = (site.target(), Count::default());
    let posters: Arc<Vec<Poster>> = Arc::new(site.partners(target).map(|_| Poster::default()).collect());
    let shared = {
        let (posters, runs) = (Arc::clone(&posters), runs.clone());
        counted(move || {
            for poster in posters.iter() {
                // Relaxed: that this sees what was written is P2's promise.
                poster.seen.store(poster.written.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            runs.add(true);
        })
    };
    let post = |poster: usize| {
        let (machine, posters) = (Arc::clone(site.machine), Arc::clone(&posters));
        let shared = Arc::clone(&shared);
        counted(move || {
            let poster = &posters[poster];
            for value in 1..=POSTS {
                // Relaxed: to publish it is the post's duty, whatever its answer (P2).
                poster.written.store(value, Ordering::Relaxed);
                let answer = machine.post(target, &shared);
                poster.accepted.add(answer == Ok(Posted::Queued));
                poster.misnamed.add(answer.is_err());
                poster.misnamed.add(matches!(answer, Ok(Posted::Busy { cpu }) if cpu != target));
            }
        })
    };
    let csds: Vec<_> = site.partners(target).enumerate().map(|(poster, cpu)| (cpu, post(poster))).collect();
    let begun = queued(site.machine, csds.iter().map(|(cpu, csd)| (*cpu, csd)));
    let ended = csds.iter().filter(|(_, csd)| site.settled(csd)).count();
    checks.that("P1", "every poster runs", begun == csds.len() as u64 && ended == csds.len());
    checks.that("P2", "the run that Busy promised comes", site.settled(&shared));
    let sum = |count: fn(&Poster) -> u64| posters.iter().map(count).sum::<u64>();
    let accepted = sum(|poster| poster.accepted.get());
    checks.same("P3", "one csd of many posters runs as often as it was accepted", runs.get(), accepted);
    let answers = POSTS * posters.len() as u64;
    checks.all("P3", "the others are told Busy, and where", answers - sum(|p| p.misnamed.get()), answers);
    // Relaxed: the runs have ended, and their count showed what they wrote.
    let seen = sum(|poster| u64::from(poster.seen.load(Ordering::Relaxed) == POSTS));
    checks.all("P2", "the last write of every poster is seen", seen, posters.len() as u64);
}

/// A csd that posts itself again from inside its function.
fn from_inside(site: &Site<'_>, checks: &mut Checks) {
    const RUNS: u64 = 50;
    let (target, runs, accepted) = (site.target(), Count::default(), Count::default());
    let csd: Counted = Arc::new_cyclic(|itself: &Weak<Csd<Box<dyn Fn() + Send + Sync>>>| {
        let (itself, machine) = (itself.clone(), Arc::clone(site.machine));
        let (runs, accepted) = (runs.clone(), accepted.clone());
        Csd::new(Box::new(move || {
            runs.add(true);
            if runs.get() < RUNS
                && let Some(itself) = itself.upgrade()
            {
                accepted.add(machine.post(target, &itself).is_ok_and(Posted::is_queued));
            }
        }))
    });
    let first = site.machine.post(target, &csd).is_ok_and(Posted::is_queued);
    let came = site.serve_until(|| runs.get() >= RUNS) && site.settled(&csd);
    checks.that("P5", "a csd that posts itself runs again", first && came);
    checks.all("P5", "it is free inside its own function", accepted.get(), RUNS - 1);
    checks.same("P1", "it runs once for each post", runs.get(), RUNS);
}

/// Many csds to one CPU, posted singly and in one chain.
fn in_order(site: &Site<'_>, checks: &mut Checks) {
    const CSDS: u64 = 64;
    for target in site.partners(0) {
        let (ran, right) = (Count::default(), Count::default());
        let csd = |number| {
            let (ran, right) = (ran.clone(), right.clone());
            counted(move || {
                right.add(ran.get() == number);
                ran.add(true);
            })
        };
        let csds: Vec<_> = (0..CSDS).map(csd).collect();
        let (singly, chained) = csds.split_at(csds.len() / 2);
        let mut accepted = queued(site.machine, singly.iter().map(|csd| (target, csd)));
        accepted += site.machine.post_all(target, chained).map_or(0, |chain| chain.queued.into());
        let came = csds.iter().filter(|csd| site.settled(csd)).count() as u64;
        checks.all("P1", "each of many posts is accepted, and runs", accepted.min(came), CSDS);
        checks.all("P6", "posts of one sender run in their order", right.get(), CSDS);
    }
}

/// Cancels a csd that is queued at a CPU which does not come to run it.
fn cancelled(site: &Site<'_>, checks: &mut Checks) {
    let (target, runs) = (site.target(), Count::default());
    let csd = {
        let runs = runs.clone();
        counted(move || runs.add(true))
    };
    let let_go = Arc::new(AtomicBool::new(false));
    let inside = Count::default();
    let holds = {
        let (let_go, inside) = (Arc::clone(&let_go), inside.clone());
        counted(move || {
            inside.add(true);
            // Acquire: nothing hangs on it.
            linger_until(|| let_go.load(Ordering::Acquire));
        })
    };
    // This CPU runs nothing unless it looks, and needs not be held.
    let held = target == site.own()
        || (site.machine.post(target, &holds).is_ok_and(Posted::is_queued)
            && site.serve_until(|| inside.get() == 1));
    checks.that("P1", "a post runs", held);
    let busy = Ok(Posted::Busy { cpu: target });
    let post = || site.machine.post(target, &csd);
    checks.that("P1", "a post is accepted", post() == Ok(Posted::Queued));
    checks.that("P1", "cancel takes it away", csd.cancel() == Cancel::Removed { coalesced: Coalesced::No });
    checks.that("P1", "there is nothing to cancel twice", csd.cancel() == Cancel::NotPending);
    checks.that("P2", "a post to the same CPU revives it", post() == busy && csd.is_pending());
    checks.that("P2", "a further post is told Busy", post() == busy);
    checks.that(
        "P2",
        "cancel says whether others relied",
        csd.cancel() == Cancel::Removed { coalesced: Coalesced::Yes },
    );
    // Release: nothing is published with it.
    let_go.store(true, Ordering::Release);
    // Runs after the cancelled one was skipped (P6).
    let after = counted(|| ());
    let passed = site.machine.post(target, &after).is_ok_and(Posted::is_queued) && site.settled(&after);
    checks.that("P1", "the queue goes on past a cancelled csd", passed);
    checks.same("P1", "a cancelled run does not begin", runs.get(), 0);
    let again = post() == Ok(Posted::Queued) && site.settled(&csd);
    checks.that("P1", "a csd that was cancelled can be posted again", again && runs.get() == 1);
}
