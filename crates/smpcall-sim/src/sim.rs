//! One run: a scenario is played, and what happened is handed to the checkers.
//!
//! | phase | what holds |
//! |---|---|
//! | faults | programs run; nothing unsafe may happen |
//! | healed | doorbells arrive, clocks go, CPUs that were off are back; who is stuck for ever stays so. All others must end their programs, or have been told by name of the CPU that they wait for (P10) |
//! | judged | who was stuck goes on, so that the run can be counted up: all programs end |
//! | settled | everybody sleeps. If doorbells could not be sent, the port has had those rung again that are owed, as soon as nobody could go on; if some were lost, a thread that is no CPU has visited all CPUs, and its stall path has found what was overlooked; if none was, nobody has looked, and nothing may be left (P7) |
//! | end | all CPUs go offline |

use crate::check::{self, Violation};
use crate::coverage::Coverage;
use crate::engine::{Block, Body, Due, End, Engine, Handlers, Setup, engine};
use crate::ground::{Errand, Ground, ground, set_ground};
use crate::history::{Act, Event, EventKind, History};
use crate::kinds::{KINDS, awaited, many, own, user};
use crate::port::count_into;
use crate::rng::Rng;
use crate::scenario::{Arrival, Op, Scenario};
use std::rc::Rc;

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// A hash of every step: equal for equal runs.
    pub hash: u64,
    /// How many steps it took.
    pub steps: u64,
    /// What was broken, if anything: the first that the checkers found.
    pub violation: Option<Violation>,
}

/// Plays a scenario.
pub fn play(scenario: &Scenario) -> Outcome {
    let (outcome, _) = play_and_tell(scenario);
    outcome
}

/// Plays a scenario while the heap is in another state, so that what the run allocates has other addresses: outcome and history
/// are those of [`play_and_tell`], or the run depends on addresses. Each number stands for another state.
///
/// ```
/// use smpcall_sim::{Options, Scenario, play, play_elsewhere};
///
/// let scenario = Scenario::draw(7, &Options::default());
/// let (outcome, _) = play_elsewhere(&scenario, 0);
/// assert_eq!(outcome.hash, play(&scenario).hash);
/// ```
pub fn play_elsewhere(scenario: &Scenario, number: u64) -> (Outcome, History) {
    let rng = Rng::new(scenario.seed, number);
    let mut blocks: Vec<Vec<u8>> =
        (0..BLOCKS).map(|_| Vec::with_capacity(rng.between(1, BLOCK_MAX))).collect();
    // What is given back is what the run gets first, in another order than a fresh heap's.
    blocks.retain(|_| rng.chance(0.5));
    let told = play_and_tell(scenario);
    drop(blocks);
    told
}

/// How many blocks are allocated before a run that is to have other addresses, and of how many bytes at most: of the sizes of wakers,
/// slots, csds and closures, and some more.
const BLOCKS: usize = 400;
const BLOCK_MAX: usize = 3_000;

/// Plays a scenario, and hands out what happened too.
pub fn play_and_tell(scenario: &Scenario) -> (Outcome, History) {
    let engine = engine();
    let ground: &'static Ground = Box::leak(Box::new(Ground::new(scenario)));
    set_ground(Some(ground));
    count_into(scenario.counts.then_some(&ground.counters));
    scenario.manners.adopt();
    engine.reset(&setup(scenario), Rc::new(Nerves));
    scenario.befall(engine);
    let end = engine.run(bodies(scenario), || at_quiet(ground));
    if scenario.counts {
        let rows = (0..scenario.cpus as u32).filter_map(|cpu| ground.counters.cpu(cpu));
        engine.log(EventKind::Counted(rows.chain([ground.counters.others()]).collect()));
    }
    if end == End::Done {
        awaited::empty_slots(ground);
    }
    set_ground(None);
    count_into(None);
    let history = engine.with_history(std::mem::take);
    if end == End::Done {
        // SAFETY: it was leaked just above. All virtual CPUs have ended, and with the machine's queues nothing refers to it
        // any more; what a violation has left queued is in this ground as well.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(ground).cast_mut()) });
    }
    let violation = check::first_violation(scenario, &history, end);
    (Outcome { hash: engine.hash(), steps: engine.points(), violation }, history)
}

/// Plays a scenario, and takes in what states it comes to.
pub fn play_and_cover(scenario: &Scenario, coverage: &mut Coverage) -> Outcome {
    engine().note_changes();
    let (outcome, history) = play_and_tell(scenario);
    coverage.add(scenario, &history, &engine().take_changes());
    outcome
}

fn setup(scenario: &Scenario) -> Setup {
    Setup {
        seed: scenario.seed,
        cpus: scenario.cpus,
        threads: scenario.threads() + 1,
        strategy: scenario.strategy.clone(),
        drain_every: scenario.drain_every,
        memory: scenario.memory,
        old: scenario.old,
        interrupts: scenario.interrupts,
        steps_max: scenario.steps_max,
    }
}

/// The handlers of the simulated machine.
struct Nerves;

impl Handlers for Nerves {
    fn doorbell(&self) {
        let ground = ground();
        user::as_kernel(ground, || ground.flush());
    }

    fn device(&self, id: usize) {
        let ground = ground();
        let arrival: &'static Arrival = &ground.scenario.arrivals[id];
        if arrival.nmi {
            perform(ground, &arrival.op);
        } else {
            user::as_kernel(ground, || perform(ground, &arrival.op));
        }
    }

    fn heal(&self) {
        heal(ground(), engine());
    }

    fn judge(&self) {
        judge(ground(), engine());
    }
}

fn perform(ground: &'static Ground, op: &Op) {
    (KINDS[op.kind].perform)(ground, op);
}

fn bodies(scenario: &Scenario) -> Vec<Body> {
    let thread = |number: usize| -> Body {
        if number < scenario.cpus { Box::new(cpu_main) } else { Box::new(caller_main) }
    };
    (0..scenario.threads()).map(thread).chain([Box::new(recoverer_main) as Body]).collect()
}

fn cpu_main() {
    let ground = ground();
    own::online(ground);
    program(ground);
    while !ground.stop.get() {
        ground.idle(None);
    }
    own::offline(ground);
}

fn caller_main() {
    program(ground());
}

fn program(ground: &'static Ground) {
    let engine = engine();
    let me = engine.me();
    for op in &ground.scenario.programs[me] {
        perform(ground, op);
        // An event loop looks between two ops; with interrupts there is no need.
        if engine.cpu().is_some() && !engine.has_interrupts() {
            ground.flush();
        }
        ground.run_blocking();
    }
    ground.ended.borrow_mut()[me] = true;
    let all = ground.ended.borrow().iter().all(|ended| *ended);
    if all {
        heal(ground, engine);
    }
}

/// A thread that is no CPU, and has an errand when everything is at rest.
fn recoverer_main() {
    let ground = ground();
    loop {
        engine().gate();
        match ground.errand.take() {
            // The port knows that there is room again.
            Some(Errand::RingOwed) => {
                assert_eq!(
                    ground.machine.ring_owed(),
                    0,
                    "faults have ended, so that every doorbell is sent"
                );
            }
            Some(Errand::Visit) => many::recover(ground),
            None => return,
        }
    }
}

/// How many steps each thread has, if it is not stuck, after faults have ended.
const JUDGED_AFTER: u64 = 4_000;
/// How often that is put off.
const WARNINGS: u32 = 3;

fn heal(ground: &Ground, engine: &Engine) {
    if ground.healed.replace(true) {
        return;
    }
    engine.log(EventKind::Heals);
    ground.machine.heal();
    engine.cancel_due(|due| matches!(due, Due::Ring(_) | Due::Judge));
    let stuck = ground.stuck.borrow().clone();
    for cpu in (0..ground.scenario.cpus).filter(|cpu| !stuck.contains(cpu) && engine.is_stopped(*cpu)) {
        engine.set_stopped(cpu, false);
    }
    judge_later(ground, engine);
}

/// Who is stuck is judged some time after faults have ended.
pub(crate) fn judge_later(ground: &Ground, engine: &Engine) {
    if ground.healed.get() && !ground.stuck.borrow().is_empty() {
        engine.later(JUDGED_AFTER * (ground.scenario.threads() + 4) as u64, Due::Judge);
    }
}

/// Whoever has not ended must wait for somebody who is stuck, and have been told so.
fn judge(ground: &Ground, engine: &Engine) {
    if ground.judged.get() {
        return;
    }
    let stuck = ground.stuck.borrow().clone();
    let warned = ground.warnings.replace(ground.warnings.get() + 1);
    // Reports come at growing gaps, none longer than twice what had passed before: so much passes now, and then those who wait have
    // to look at the clock.
    if warned < WARNINGS {
        engine.leap(3 * ground.machine.now_ns());
        return engine.later(JUDGED_AFTER, Due::Judge);
    }
    ground.judged.set(true);
    if stuck.is_empty() {
        return;
    }
    let unexcused = unexcused(ground, engine, &stuck);
    engine.log(EventKind::Judged { unexcused });
    for cpu in stuck {
        engine.set_stopped(cpu, false);
    }
}

/// Who has not ended, is not stuck, and was told of nobody who is.
fn unexcused(ground: &Ground, engine: &Engine, stuck: &[usize]) -> Vec<usize> {
    let mut named: Vec<usize> = engine.with_history(|history| {
        let names = |event: &&Event| matches!(event.kind, EventKind::Stalled { target } if stuck.contains(&(target as usize)));
        history.iter().filter(names).map(|event| event.thread).collect()
    });
    // Who waits for the thread of one of those is told of that one.
    while let Some(thread) = engine.with_history(|history| behind(history, &named)) {
        named.push(thread);
    }
    let open = |thread: &usize| {
        !ground.ended.borrow()[*thread] && !stuck.contains(thread) && !named.contains(thread)
    };
    (0..ground.scenario.threads()).filter(open).collect()
}

/// Somebody whose blocking call is under way, and who was told that its target does not answer, which is one of `excused`.
fn behind(history: &History, excused: &[usize]) -> Option<usize> {
    history.iter().find_map(|event| match event.kind {
        EventKind::Begin { op, act: Act::Blocking { target, .. } }
            if excused.contains(&(target as usize)) && !excused.contains(&event.thread) =>
        {
            let by = |one: &&Event| one.thread == event.thread;
            let ended =
                history.iter().any(|one| matches!(one.kind, EventKind::End { op: ended, .. } if ended == op));
            let told = history.iter().filter(by).any(|one| one.kind == (EventKind::Stalled { target }));
            (!ended && told).then_some(event.thread)
        }
        _ => None,
    })
}

/// Nobody can go on: on to the next phase, if this one is over.
fn at_quiet(ground: &'static Ground) -> bool {
    let engine = engine();
    let recoverer = ground.scenario.threads();
    if !ground.healed.get() {
        heal(ground, engine);
        return true;
    }
    if !ground.judged.get() && !ground.stuck.borrow().is_empty() {
        judge(ground, engine);
        return true;
    }
    let unsent = ground.machine.unsent() > 0 && !ground.has_rung_owed.replace(true);
    if unsent {
        ground.errand.set(Some(Errand::RingOwed));
        engine.open(recoverer);
        return true;
    }
    if ground.stop.get() || !ground.ended.borrow().iter().all(|ended| *ended) {
        return false;
    }
    if ground.machine.lost() > 0 && !ground.has_visited.replace(true) {
        ground.errand.set(Some(Errand::Visit));
        engine.open(recoverer);
        return true;
    }
    if engine.block_of(recoverer) != Block::Gate {
        return false;
    }
    engine.log(EventKind::Settled);
    ground.stop.set(true);
    engine.open(recoverer);
    (0..ground.scenario.cpus).for_each(|cpu| engine.rouse(cpu));
    true
}
