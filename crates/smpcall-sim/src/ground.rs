//! The ground of one run: the machine, the csds, the words that tell what a run has seen; and what every op and every
//! function does beside its own business, which is to be put on record.

use crate::engine::{PORT, engine};
use crate::history::{Act, Came, EventKind, LEVELS, Level, Of, Urgency};
use crate::kinds::awaited::{Bell, SLOTS, Slot};
use crate::kinds::calls::refused_wait;
use crate::kinds::many::scatter_to_all;
use crate::kinds::posts::{came_of, came_of_posted};
use crate::machine::{Function, Machine};
use crate::port::{Counters, counters_for};
use crate::scenario::{Plan, Scenario};
use smpcall_instrumented::{Budget, Csd, Deferred};
use smpcall_sim_atomics::{AtomicU32, Ordering};
use std::cell::{Cell, RefCell};
use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};

thread_local! {
    static GROUND: Cell<Option<&'static Ground>> = const { Cell::new(None) };
}

/// The ground of the run that is under way on this OS thread. Functions reach it here, since they cannot borrow it.
pub(crate) fn ground() -> &'static Ground {
    GROUND.get().expect("a run is under way")
}

/// Says which ground that is.
pub(crate) fn set_ground(ground: Option<&'static Ground>) {
    GROUND.set(ground);
}

/// Everything that a run's virtual CPUs share.
pub(crate) struct Ground {
    pub(crate) scenario: Scenario,
    pub(crate) machine: Machine,
    pub(crate) csds: Vec<Csd<Function>>,
    /// Of calls that are awaited.
    pub(crate) slots: [Slot; SLOTS],
    /// The wakers of the run, whose memory they keep. The core tells wakers by their addresses. An allocator gives an address to a
    /// second waker only after the first was freed, and whoever gets it sees what was done before that; the simulated CPUs would not
    /// see it, since neither the allocator nor the waker's count is simulated. So no two wakers of a run have one address.
    pub(crate) bells: RefCell<Vec<Weak<Bell>>>,
    /// One word for each sender (a virtual CPU in one context): what it has written last, with no ordering of its own.
    words: Vec<AtomicU32>,
    values: Vec<Cell<u32>>,
    /// Who has posted each csd: whose words its function looks at.
    posters: Vec<RefCell<Vec<usize>>>,
    /// Which CPUs are in user space.
    pub(crate) users: Vec<Cell<bool>>,
    /// How many hops of a relay are done.
    hops: Vec<Cell<usize>>,
    /// Where waiting calls leave their numbers: for each thread the call that it makes, and the one that its blocking call's
    /// function makes.
    answers: Vec<AtomicU32>,
    /// What the port counts into.
    pub(crate) counters: Counters,
    ops: Cell<usize>,
    pub(crate) stuck: RefCell<Vec<usize>>,
    /// Threads whose program is over.
    pub(crate) ended: RefCell<Vec<bool>>,
    pub(crate) healed: Cell<bool>,
    pub(crate) judged: Cell<bool>,
    /// How often the judgement was put off.
    pub(crate) warnings: Cell<u32>,
    /// What the recoverer is to do when it is let go next; nothing: to end.
    pub(crate) errand: Cell<Option<Errand>>,
    pub(crate) has_rung_owed: Cell<bool>,
    pub(crate) has_visited: Cell<bool>,
    pub(crate) stop: Cell<bool>,
}

/// What the recoverer does when everything is at rest.
#[derive(Clone, Copy)]
pub(crate) enum Errand {
    /// Rings those whose doorbell could not be sent.
    RingOwed,
    /// Visits all CPUs, for what doorbells that never arrived were for.
    Visit,
}

impl Ground {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        // One more for whoever recovers what was lost.
        let (threads, csds) = (scenario.threads() + 1, scenario.csds.len());
        let function = |csd| -> Function { Box::new(move || ground().run_csd(csd)) };
        Self {
            scenario: scenario.clone(),
            machine: Machine::new(scenario),
            counters: counters_for(if scenario.counts { scenario.cpus } else { 0 }),
            csds: (0..csds).map(|csd| Csd::new(function(csd))).collect(),
            slots: Default::default(),
            bells: RefCell::default(),
            words: (0..threads * LEVELS).map(|_| AtomicU32::new(0)).collect(),
            values: vec![Cell::new(0); threads * LEVELS],
            posters: vec![RefCell::default(); csds],
            users: vec![Cell::new(false); scenario.cpus],
            hops: vec![Cell::new(0); csds],
            answers: (0..2 * threads).map(|_| AtomicU32::new(u32::MAX)).collect(),
            ops: Cell::new(0),
            stuck: RefCell::default(),
            ended: RefCell::new(vec![false; scenario.threads()]),
            healed: Cell::new(false),
            judged: Cell::new(false),
            warnings: Cell::new(0),
            errand: Cell::new(None),
            has_rung_owed: Cell::new(false),
            has_visited: Cell::new(false),
            stop: Cell::new(false),
        }
    }

    /// Does something, and puts on record that it was begun, and what it came to.
    pub(crate) fn op(&self, act: Act, does: impl FnOnce(usize) -> Came) -> Came {
        let number = self.ops.replace(self.ops.get() + 1);
        let engine = engine();
        let alone = self.scenario.alone as usize;
        let steps_max = if alone > 0 && engine.rng.below(alone) == 0 { steps_alone_max(&act) } else { None };
        engine.log(EventKind::Begin { op: number, act });
        if let Some(steps_max) = steps_max {
            engine.leave_alone(number, steps_max);
        }
        let came = does(number);
        engine.in_company(number);
        engine.came(number, came);
        came
    }

    /// Runs a function of the core's: on record, and in call context.
    pub(crate) fn as_run<R>(&self, of: Of, queued: bool, panics: bool, body: impl FnOnce() -> R) -> R {
        engine().in_run(|| {
            let seen = match of {
                Of::Csd(csd) => self.look(csd),
                _ => Vec::new(),
            };
            self.recorded(of, queued, panics, seen, body)
        })
    }

    /// Runs a function of the core's: on record, in whatever context it is.
    pub(crate) fn recorded<R>(
        &self,
        of: Of,
        queued: bool,
        panics: bool,
        seen: Vec<(usize, u32)>,
        body: impl FnOnce() -> R,
    ) -> R {
        let engine = engine();
        // Call context is: interrupts off, and no waiting.
        let in_context = engine.cpu().is_some() && engine.irqs_are_off();
        engine.log(EventKind::RunBegin { of, in_context, queued, seen });
        if panics {
            engine.log(EventKind::RunEnd { of, panics });
        }
        let result = body();
        engine.log(EventKind::RunEnd { of, panics });
        result
    }

    /// Panics without a message to the console.
    pub(crate) fn panic_as_meant() -> ! {
        resume_unwind(Box::new("meant"))
    }

    /// The words of all who have posted it, as this virtual CPU sees them.
    fn look(&self, csd: usize) -> Vec<(usize, u32)> {
        self.look_at(&self.posters[csd].borrow())
    }

    /// The words of those senders, as this virtual CPU is sure to see them.
    pub(crate) fn look_at(&self, senders: &[usize]) -> Vec<(usize, u32)> {
        engine().unscheduled(|| senders.iter().map(|slot| (*slot, self.words[*slot].sure())).collect())
    }

    /// The sender that is running now.
    pub(crate) fn slot(&self) -> usize {
        slot_of(engine().me(), engine().level())
    }

    /// Writes what the functions of these csds are to see.
    pub(crate) fn write(&self, csds: &[usize]) -> u32 {
        let slot = self.slot();
        let value = self.values[slot].get() + 1;
        self.values[slot].set(value);
        // Relaxed: to publish it is the promise under test (P2).
        self.words[slot].store(value, Ordering::Relaxed);
        for csd in csds {
            let mut posters = self.posters[*csd].borrow_mut();
            if !posters.contains(&slot) {
                posters.push(slot);
            }
        }
        value
    }

    /// Posts a csd, and pays if that falls to the poster.
    pub(crate) fn post(&'static self, csd: usize, target: u32, urgency: Urgency) -> Came {
        let value = self.write(&[csd]);
        let came = self.op(Act::Post { csd, target, value, urgency }, |op| {
            let (machine, csd) = (&self.machine, &self.csds[csd]);
            match urgency {
                Urgency::Now => machine.post(target, csd).map_or_else(came_of, came_of_posted),
                Urgency::Lazy => machine.post_lazy(target, csd).map_or_else(came_of, came_of_posted),
                Urgency::Deferred => match machine.post_deferred(target, csd) {
                    Ok(Deferred::AtEntry) => {
                        engine().log(EventKind::AtEntry { op });
                        Came::Ok
                    }
                    Ok(Deferred::Soon) => Came::Ok,
                    Ok(Deferred::Busy { cpu }) => Came::Busy(cpu),
                    Err(error) => came_of(error),
                },
            }
        });
        if came == (Came::Offline { coalesced: true }) {
            self.pay(csd);
        }
        came
    }

    /// Does the work of a run that others relied on, and that is not going to happen.
    pub(crate) fn pay(&self, csd: usize) {
        let seen = self.look(csd);
        engine().log(EventKind::Paid { csd, seen });
    }

    fn run_csd(&'static self, csd: usize) {
        let plan = &self.scenario.csds[csd];
        self.as_run(Of::Csd(csd), true, plan.panics, || self.body(csd, plan));
    }

    fn body(&'static self, csd: usize, plan: &Plan) {
        let engine = engine();
        let urgency = if plan.lazy { Urgency::Lazy } else { Urgency::Now };
        (0..plan.long).for_each(|_| engine.point(PORT));
        if let Some(target) = plan.hops.get(self.hops[csd].get()) {
            self.hops[csd].set(self.hops[csd].get() + 1);
            self.post(csd, *target, urgency);
        }
        if let Some((other, target)) = plan.posts {
            self.post(other, target, urgency);
        }
        if plan.scatters {
            scatter_to_all();
        }
        if plan.misuses && self.scenario.cpus > 1 {
            let other = (engine.me() as u32 + 1) % self.scenario.cpus as u32;
            self.op(Act::Misuse, |_| refused_wait(self, other, plan.long % 2 == 1));
        }
        if plan.panics {
            Self::panic_as_meant();
        }
    }

    /// A counted csd: it says when it is freed.
    pub(crate) fn counted_csd(&self, op: usize, panics: bool) -> Arc<Csd<Function>> {
        struct Tells(usize);
        impl Drop for Tells {
            fn drop(&mut self) {
                engine().log(EventKind::Freed { op: self.0 });
            }
        }
        let tells = Tells(op);
        Arc::new(Csd::new(Box::new(move || {
            // All of it, not only its number, belongs to the function.
            let tells = &tells;
            let op = tells.0;
            ground().as_run(Of::Counted(op), true, panics, || {
                engine().point(PORT);
                if panics {
                    Self::panic_as_meant();
                }
            });
        })))
    }

    /// The function of a waiting call leaves word with its caller.
    pub(crate) fn leave_answer(&self, place: usize, number: u32) {
        // Relaxed: to publish it is the promise under test (P4).
        self.answers[place].store(number, Ordering::Relaxed);
    }

    /// The first of a thread's two places for answers.
    pub(crate) fn answers_of(thread: usize) -> usize {
        2 * thread
    }

    /// What the caller is sure to see of it.
    pub(crate) fn answer_of(&self, place: usize) -> u32 {
        engine().unscheduled(|| self.answers[place].sure())
    }

    /// Flushes the CPU, as its idle loop or its handler does.
    pub(crate) fn flush(&self) {
        let [calls, posts] = [self.scenario.budget, self.scenario.posts]
            .map(|calls| NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN));
        engine().log(EventKind::Looks);
        // `More` has rung this CPU, or is met by the next look of a loop that polls.
        let _ = self.machine.flush(Budget::calls(calls).posts(posts));
        engine().log(EventKind::Flushed);
    }

    /// Runs, in the CPU's thread, the blocking calls that flushes have left to it.
    pub(crate) fn run_blocking(&self) {
        if engine().cpu().is_some() {
            self.machine.run_blocking();
        }
    }

    /// Sleeps until rung; then flushes, where no handler does. From the last look to the sleep interrupts are off, as a kernel has
    /// them: a handler that came in between could leave a blocking call behind, and nobody would wake this thread for it.
    pub(crate) fn idle(&self, until_ns: Option<u64>) {
        self.idle_unless(until_ns, || false);
    }

    /// The same, unless there is a reason, at the last moment, not to sleep.
    pub(crate) fn idle_unless(&self, until_ns: Option<u64>, has_reason: impl Fn() -> bool) {
        let engine = engine();
        if !engine.has_interrupts() {
            self.flush();
        }
        self.run_blocking();
        engine.irq_save();
        let ready = self.machine.poll_end().is_ok();
        let rung = ready && !has_reason() && {
            engine.log(EventKind::Sleeps);
            engine.sleep(until_ns.unwrap_or(u64::MAX))
        };
        engine.irq_restore();
        if !ready || (rung && !engine.has_interrupts()) {
            self.flush();
        }
        self.run_blocking();
    }
}

/// How many steps of its own a post has, once nobody else takes any (P9); `None` for what may wait. A fixed number, for each csd and
/// each target: a few looks, a claim, one push that fails and one that does not, a doorbell, and what the port counts.
fn steps_alone_max(act: &Act) -> Option<u32> {
    let each = match act {
        Act::Post { .. } | Act::Counted { .. } | Act::Detached { .. } | Act::Cancel { .. } => 1,
        Act::Chain { csds, .. } => csds.len(),
        Act::Many { waits: false, targets, .. } => targets.len() + 2,
        _ => return None,
    };
    Some(40 + 30 * each as u32)
}

/// The number of a sender.
pub(crate) fn slot_of(thread: usize, level: Level) -> usize {
    thread * LEVELS + level as usize
}
