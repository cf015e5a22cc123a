//! P1, P2, P11 of what an owner keeps: values that are sent, taken back and dropped, owners that are posted to two CPUs and dropped,
//! and CPUs whose handle is dropped and asked for again. Under seeds, with doorbells that interrupt.

use smpcall_instrumented::{
    Budget, Cancel, CsdField, CsdOwner, Here, Message, NotSent, PerCpu, Platform, Posted, SleepGuard,
    TakeError, csd_field,
};
use smpcall_sim::explore::{Found, Run, Search, Tiny, here};
use smpcall_sim::{Memory, Virtual};
use smpcall_sim_atomics::{AtomicU32 as SimulatedU32, Ordering};
use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

const ROUNDS: u32 = 10;
const CPUS: usize = 2;
const CALLERS: usize = 2;

type Machine = smpcall_instrumented::Machine<Virtual<true>, &'static mut [PerCpu]>;

/// What the threads of one run share, leaked. One OS thread plays all of them: what is counted here takes no step.
struct Shared {
    smp: &'static Machine,
    /// How many values, or owners, are there.
    alive: AtomicU32,
    /// How many runs were promised, and how many there were.
    promised: AtomicU32,
    runs: AtomicU32,
    /// How many callers have not ended. A simulated word: by their last step what they have stored has reached memory.
    left: SimulatedU32,
    /// One count of each owner. A store may reach memory late, and an owner's memory stays until all have.
    kept: Mutex<Vec<Arc<dyn Any + Send + Sync>>>,
}

/// Counts as one that is there.
struct Counted(&'static Shared, u32);

impl Counted {
    fn new(shared: &'static Shared, number: u32) -> Self {
        shared.alive.fetch_add(1, Relaxed);
        Self(shared, number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        assert!(self.0.alive.fetch_sub(1, Relaxed) > 0, "dropped once");
    }
}

impl Shared {
    /// A CPU's thread. Its handle is asked for anew at each turn, as a kernel does that does not carry it about.
    fn serve(&self) {
        let port = self.smp.platform();
        drop(self.smp.as_pin().online().unwrap());
        while self.serves() {
            let mut cpu = self.smp.as_pin().this_cpu().expect("it stays online without its handle");
            port.irq_save();
            match cpu.begin_sleep().map(SleepGuard::commit) {
                Ok(_asleep) if self.serves() => _ = here::sleep(u64::MAX),
                Ok(_asleep) => {}
                Err(_work) => _ = cpu.flush(Budget::DEFAULT),
            }
            port.irq_restore(());
        }
        let cpu = self.smp.as_pin().this_cpu().unwrap();
        assert!(cpu.offline().is_ok(), "no frame is below");
    }

    fn serves(&self) -> bool {
        // Acquire: nothing; the last to end rings.
        self.left.load(Ordering::Acquire) > 0
    }

    fn keep<T: Any + Send + Sync>(&self, owner: &Arc<T>) {
        let kept: Arc<T> = Arc::clone(owner);
        self.kept.lock().unwrap().push(kept);
    }

    /// The last caller wakes those who serve, and when they are offline drops what is left of the owners.
    fn ends(&self) {
        // AcqRel: what others have stored to owners is in memory.
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let port = self.smp.platform();
        port.irq_save();
        assert!((0..CPUS as u32).all(|cpu| port.ring(cpu).is_ok()));
        port.irq_restore(());
        while (0..CPUS as u32).any(|cpu| self.smp.is_online_racy(cpu)) {
            here::pause();
        }
        let kept = std::mem::take(&mut *self.kept.lock().unwrap());
        assert!(kept.iter().all(|owner| Arc::strong_count(owner) == 1), "each run has given its count back");
        drop(kept);
    }
}

/// Plays the callers under these seeds. Each run ends with all that was promised run, and nothing left.
fn play(seeds: std::ops::Range<u64>, caller: fn(&'static Shared, u32)) {
    let tiny =
        Tiny { cpus: CPUS, callers: CALLERS, interrupts: true, memory: Memory::Tso, steps_max: 4_000_000 };
    let make = || {
        let storage = (0..CPUS).map(|_| PerCpu::new()).collect::<Vec<_>>().leak();
        let smp: &'static Machine =
            Box::leak(Box::new(Machine::with_storage(Virtual, storage).expect("1 to 8192 CPUs")));
        let zero = || AtomicU32::new(0);
        let left = SimulatedU32::new(CALLERS as u32);
        let kept = Mutex::new(Vec::new());
        let shared: &'static Shared =
            Box::leak(Box::new(Shared { smp, alive: zero(), promised: zero(), runs: zero(), left, kept }));
        let cpus = (0..CPUS).map(|_| -> Box<dyn FnOnce()> { Box::new(|| shared.serve()) });
        let callers = (0..CALLERS as u32).map(|number| -> Box<dyn FnOnce()> {
            Box::new(move || {
                while !(0..CPUS as u32).all(|cpu| smp.is_online_racy(cpu)) {
                    here::pause();
                }
                caller(shared, number);
                shared.ends();
            })
        });
        Run {
            bodies: cpus.chain(callers).collect(),
            doorbell: Box::new(|| _ = smp.flush(Budget::DEFAULT)),
            is_bad: Box::new(|| {
                let (promised, runs) = (shared.promised.load(Relaxed), shared.runs.load(Relaxed));
                shared.alive.load(Relaxed) != 0 || promised != runs || runs == 0
            }),
        }
    };
    let runs = seeds.end - seeds.start;
    // SAFETY: everything is leaked, but for the owners: those stay until all that was stored to them has reached memory (`ends`).
    let found = unsafe { tiny.explore(&Search::Seeds(seeds), make) };
    assert_eq!(found, Found { runs, bad: 0, endless: 0 });
}

fn answer(value: Counted, _: Here<'_>) -> Counted {
    value.0.runs.fetch_add(1, Relaxed);
    Counted::new(value.0, value.1 + 100)
}

/// A value and its message are left where they are, awaited, taken back, or dropped, by turns.
fn sends(shared: &'static Shared, number: u32) {
    let smp = shared.smp;
    let new = || {
        let message = Arc::new(Message::<Counted, Counted>::new(answer));
        shared.keep(&message);
        message
    };
    let mut message = new();
    for round in 0..ROUNDS {
        let target = (round + number) % CPUS as u32;
        smp.send(target, &message, Counted::new(shared, round)).map_err(|refused| refused.why).unwrap();
        shared.promised.fetch_add(1, Relaxed);
        // A message has one value at a time, for whichever CPU.
        if round % 2 == 0 {
            let again = smp.send(1 - target, &message, Counted::new(shared, 9));
            assert!(matches!(again.map_err(|refused| refused.why), Err(NotSent::Pending | NotSent::Unread)));
        }
        match round % 4 {
            0 => assert_eq!(smp.receive(&message).map(|value| value.1).ok(), Some(round + 100)),
            1 | 2 => {
                let is_removed = matches!(message.cancel(), Cancel::Removed { .. });
                if is_removed {
                    shared.promised.fetch_sub(1, Relaxed);
                }
                if round % 4 == 2 {
                    // Dropped as it is: queued, cancelled, being run, or unread.
                    message = new();
                    continue;
                }
                loop {
                    match message.try_take() {
                        Err(TakeError::Pending) => here::pause(),
                        Ok(answer) => break assert_eq!((answer.1, is_removed), (round + 100, false)),
                        Err(TakeError::Cancelled(value)) => {
                            break assert_eq!((value.1, is_removed), (round, true));
                        }
                        Err(_) => panic!("one of both is there"),
                    }
                }
            }
            _ => message = new(),
        }
    }
}

#[test]
fn values_that_are_sent_are_answered_taken_back_or_dropped_once() {
    play(0..400, sends);
}

/// An owner with two csds, each of them for either CPU.
struct Owner {
    first: CsdField,
    second: CsdField<Second>,
    counted: Counted,
}

#[derive(Clone, Copy)]
struct Second;

csd_field! { impl Owner { first, second: Second } }

impl CsdOwner for Owner {
    type Pointer = Arc<Self>;
    fn run(this: Arc<Self>, _: Here<'_>) {
        this.counted.0.runs.fetch_add(1, Relaxed);
    }
}

impl CsdOwner<Second> for Owner {
    type Pointer = Arc<Self>;
    fn run(this: Arc<Self>, _: Here<'_>) {
        this.counted.0.runs.fetch_add(1, Relaxed);
    }
}

/// Posted to both CPUs, and let go of at once.
fn posts_and_drops(shared: &'static Shared, number: u32) {
    let promise =
        |posted: Posted| _ = shared.promised.fetch_add(u32::from(posted == Posted::Queued), Relaxed);
    for round in 0..ROUNDS {
        let counted = Counted::new(shared, round);
        let owner = Arc::new(Owner { first: CsdField::new(), second: CsdField::new(), counted });
        shared.keep(&owner);
        for target in [number, 1 - number, number] {
            promise(shared.smp.post(target, &owner).unwrap());
            if round % 3 == 0 {
                promise(shared.smp.post(target, (&owner, Second)).unwrap());
            }
        }
    }
}

#[test]
fn owners_that_are_posted_to_two_cpus_and_dropped_live_as_long_as_their_runs() {
    play(1_000..1_400, posts_and_drops);
}
