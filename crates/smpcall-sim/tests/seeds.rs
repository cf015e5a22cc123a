//! Seeds that any build must pass, each twice: the second run must be the first to its last step. More of them run in
//! `cargo xtask test`'s step "sim".

use smpcall_sim::{FaultChoice, Faults, Options, Scenario, play_and_tell, play_elsewhere};

fn passes_twice(seed: u64, options: &Options) {
    let scenario = Scenario::draw(seed, options);
    assert_eq!(scenario, Scenario::draw(seed, options));
    let (first, history) = play_and_tell(&scenario);
    let (second, again) = play_elsewhere(&scenario, 0);
    assert_eq!(
        first.violation,
        None,
        "seed {seed}:\n{scenario}{}",
        smpcall_sim::timeline(&scenario, &history)
    );
    assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed} does not repeat");
    assert_eq!(history, again, "seed {seed} does not repeat");
}

#[test]
fn with_faults() {
    (0..400).for_each(|seed| passes_twice(seed, &Options::default()));
}

#[test]
fn without_faults() {
    let options = Options { faults: FaultChoice::These(Faults::off()), ..Options::default() };
    (0..200).for_each(|seed| passes_twice(seed, &options));
}

/// Calls that are awaited, in the same programs: on CPUs and on threads that are none, to CPUs that come and go, with faults and without.
#[test]
fn with_futures_that_are_answered_dropped_and_forgotten() {
    let options = Options { futures: true, ..Options::default() };
    (0..400).for_each(|seed| passes_twice(seed, &options));
    let options = Options { faults: FaultChoice::These(Faults::off()), ..options };
    (0..200).for_each(|seed| passes_twice(seed, &options));
}

/// CPUs in user space, and posts that are deferred until they enter the kernel: in the same programs, with faults and without.
#[test]
fn with_cpus_in_user_space() {
    let options = Options { users: true, ..Options::default() };
    (0..400).for_each(|seed| passes_twice(seed, &options));
    let options = Options { faults: FaultChoice::These(Faults::off()), ..options };
    (0..200).for_each(|seed| passes_twice(seed, &options));
}

/// Rendezvous, of CPUs that come and go, some with a time limit.
#[test]
fn with_rendezvous() {
    let options = Options { meets: true, ..Options::default() };
    (0..400).for_each(|seed| passes_twice(seed, &options));
    let options = Options { faults: FaultChoice::These(Faults::off()), ..options };
    (0..200).for_each(|seed| passes_twice(seed, &options));
    // And of CPUs in user space.
    let options = Options { users: true, faults: FaultChoice::Drawn, ..options };
    (0..300).for_each(|seed| passes_twice(seed, &options));
}

/// Multicasts whose callers work before they wait.
#[test]
fn with_work_before_the_wait() {
    let options = Options { works: true, ..Options::default() };
    (0..300).for_each(|seed| passes_twice(seed, &options));
    let options = Options { faults: FaultChoice::These(Faults::off()), ..options };
    (0..100).for_each(|seed| passes_twice(seed, &options));
}

/// Each kind of fault alone, at every CPU or doorbell or function.
#[test]
fn with_one_kind_of_fault_at_its_most() {
    for name in Faults::NAMES {
        let mut faults = Faults::default();
        *faults.rate_mut(name).unwrap() = 1.0;
        let options = Options { faults: FaultChoice::These(faults), ..Options::default() };
        (0..20).for_each(|seed| passes_twice(seed, &options));
        let options = Options { futures: true, ..options };
        (0..20).for_each(|seed| passes_twice(seed, &options));
    }
}

#[test]
fn with_one_cpu() {
    let options = Options { cpus_min: 1, cpus_max: 1, ..Options::default() };
    (0..100).for_each(|seed| passes_twice(seed, &options));
}

#[test]
fn with_more_cpus_than_a_word_has_bits() {
    let options = Options { cpus_min: 65, cpus_max: 130, ..Options::default() };
    (0..3).for_each(|seed| passes_twice(seed, &options));
}

#[test]
fn different_seeds_are_different_runs() {
    let hash = |seed| play_and_tell(&Scenario::draw(seed, &Options::default())).0.hash;
    let mut hashes: Vec<u64> = (0..100).map(hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 100);
}

/// P13: the simulator's atomics are as large as core's, so the layouts here are the layouts there.
#[test]
fn a_cpu_takes_as_much_memory_as_it_does_without_the_simulator() {
    assert_eq!(size_of::<smpcall_instrumented::PerCpu>(), 640);
}
