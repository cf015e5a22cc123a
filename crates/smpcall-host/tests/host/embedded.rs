//! P1, P4, P5, P11 between real threads: csds that their owner embeds, pinned owners, messages, owned closures, results of all.

use crate::site::{Count, bounded, eventually, rounds, sites};
use smpcall_host::smpcall::{
    CsdField, CsdOwner, Here, Lent, Message, MessageField, MessageOwner, PerCpuCell, Posted, TakeError, To,
    csd_field,
};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, Copy)]
struct Other;

/// A task that is counted as it runs, and as it is freed.
struct Task {
    csd: CsdField,
    other: CsdField<Other>,
    runs: Arc<Count>,
    freed: Arc<Count>,
}

csd_field! { impl Task { csd, other: Other } }

impl CsdOwner for Task {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>, _: Here<'_>) {
        this.runs.up();
    }
}

impl CsdOwner<Other> for Task {
    type Pointer = Lent;

    fn run(this: &Self, _: Here<'_>) {
        this.runs.up();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.freed.up();
    }
}

#[test]
fn p11_posted_to_two_cpus_and_dropped_it_is_freed_once() {
    let _bounded = bounded();
    for site in sites() {
        let (runs, freed) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let last = site.cpus_len() - 1;
        for round in 1..=rounds(50) {
            let task = Arc::new(Task {
                csd: CsdField::new(),
                other: CsdField::new(),
                runs: Arc::clone(&runs),
                freed: Arc::clone(&freed),
            });
            site.post(0, &task).unwrap();
            site.post(last, (&task, Other)).unwrap();
            drop(task);
            eventually(|| freed.get() == round);
            assert_eq!(runs.get(), 2 * round);
        }
    }
}

/// Lies on the poster's stack.
struct Visit {
    csd: CsdField,
    on: AtomicU32,
    runs: Arc<Count>,
}

csd_field! { impl Visit { csd } }

impl CsdOwner for Visit {
    type Pointer = Lent;

    fn run(this: &Self, here: Here<'_>) {
        this.on.store(here.cpu(), Ordering::Relaxed);
        this.runs.up();
    }
}

#[test]
fn p11_a_pinned_owner_ends_with_its_scope() {
    let _bounded = bounded();
    for site in sites() {
        let runs = Arc::new(Count::default());
        let target = site.cpus_len() - 1;
        let mut waited = 0;
        for round in 0..rounds(50) {
            let before = runs.get();
            {
                let (csd, on) = (CsdField::new(), AtomicU32::new(u32::MAX));
                let visit = pin!(site.pinned(Visit { csd, on, runs: Arc::clone(&runs) }));
                site.post(target, visit.as_ref()).unwrap();
                if round % 2 == 0 {
                    site.wait(visit.as_ref()).unwrap();
                    assert_eq!(visit.on.load(Ordering::Relaxed), target);
                    waited += 1;
                }
            }
            assert!(runs.get() <= before + 1);
            // The runs have let go of their owner's part in the count: nobody is at it.
            assert_eq!(Arc::strong_count(&runs), 1);
        }
        assert!(runs.get() >= waited);
    }
}

#[test]
fn p4_a_message_is_answered_and_sent_again() {
    let _bounded = bounded();
    for site in sites() {
        let message = Arc::new(Message::<String, (usize, u32)>::new(|text, here| (text.len(), here.cpu())));
        assert_eq!(message.try_take(), Err(TakeError::Empty));
        for round in 0..rounds(50) as usize {
            let target = round as u32 % site.cpus_len();
            site.send(target, &message, "x".repeat(round)).unwrap();
            assert_eq!(site.receive(&message), Ok((round, target)));
        }
    }
}

/// A request that carries its question there and its answer back, and is freed by whoever is the last to have it.
struct Request {
    factor: u64,
    ask: MessageField<Vec<u64>, u64>,
    freed: Arc<Count>,
}

csd_field! { impl Request { ask(Vec<u64>) -> u64 } }

impl MessageOwner for Request {
    fn run(this: &Self, terms: Vec<u64>, _: Here<'_>) -> u64 {
        terms.iter().sum::<u64>() * this.factor
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.freed.up();
    }
}

#[test]
fn p4_p11_a_request_with_a_message_in_it_is_answered_or_left_behind() {
    let _bounded = bounded();
    for site in sites() {
        let freed = Arc::new(Count::default());
        for round in 1..=rounds(50) {
            let ask = MessageField::new();
            let request = Arc::new(Request { factor: 3, ask, freed: Arc::clone(&freed) });
            site.send(round % site.cpus_len(), &request, vec![1, u64::from(round)]).unwrap();
            if round % 2 == 0 {
                assert_eq!(site.receive(&request), Ok(3 * (1 + u64::from(round))));
                assert_eq!(request.ask.try_take(), Err(TakeError::Empty));
            }
            // Else its run is the last to have it, and nobody takes the answer.
            drop(request);
            eventually(|| freed.get() == round);
        }
    }
}

#[test]
fn p1_an_owned_closure_runs_once_or_comes_back() {
    let _bounded = bounded();
    for site in sites() {
        let runs = Arc::new(Count::default());
        for round in 1..=rounds(50) {
            let runs_there = Arc::clone(&runs);
            site.post_boxed(round % site.cpus_len(), move || _ = runs_there.up()).unwrap();
        }
        let runs_here = Arc::clone(&runs);
        let refused = site.post_boxed(site.cpus_len(), move || _ = runs_here.up()).unwrap_err();
        (refused.function)();
        eventually(|| runs.get() == rounds(50) + 1);
        eventually(|| Arc::strong_count(&runs) == 1);
    }
}

#[test]
fn p4_one_result_from_each_cpu_and_its_own_cell() {
    let _bounded = bounded();
    for site in sites() {
        let cells: Vec<PerCpuCell<u32>> = (0..site.cpus_len()).map(|cpu| PerCpuCell::new(cpu * 10)).collect();
        let mut results = vec![None; site.cpus_len() as usize];
        for round in 1..=rounds(50) {
            let handle = site.handle();
            let visit = |cpu| {
                let local = handle.with_local(&cells, |value| {
                    *value += 1;
                    *value
                });
                (cpu, local.unwrap())
            };
            let reached = site.call_map(To::All, &mut results, visit).unwrap();
            assert_eq!(reached.ran, site.cpus_len());
            for (at, result) in (0..).zip(&results) {
                assert_eq!(*result, Some((at, at * 10 + round)));
            }
        }
    }
}

#[test]
fn p3_an_owner_that_is_queued_is_busy() {
    struct Held {
        csd: CsdField,
    }
    csd_field! { impl Held { csd } }
    impl CsdOwner for Held {
        type Pointer = Lent;
        fn run(_: &Self, _: Here<'_>) {}
    }
    let _bounded = bounded();
    for site in sites() {
        let held = Arc::new(Held { csd: CsdField::new() });
        let holds = crate::site::hold(&site, 0);
        site.post(0, &held).unwrap();
        assert_eq!(site.post(0, &held), Ok(Posted::Busy { cpu: 0 }));
        assert!(held.csd.is_pending());
        drop(holds);
        site.wait(&held).unwrap();
        eventually(|| Arc::strong_count(&held) == 1);
    }
}
