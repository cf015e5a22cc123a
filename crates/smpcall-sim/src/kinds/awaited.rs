//! Calls that are awaited: their futures are polled some steps, and then answered, dropped or forgotten. Drawn only where a run is
//! asked for them ([`crate::Options::futures`]), from a stream of their own.

use crate::engine::{PORT, engine};
use crate::ground::{Ground, ground};
use crate::history::{Act, Answer, Came, EventKind, How, Of, Part};
use crate::machine::{Awaiting, Panic};
use crate::scenario::{Draw, Op};
use smpcall_instrumented::{AsyncCall, AsyncCallError, AwaitedSlot};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

/// Static slots of a run. Few, so that one is often another's.
pub(crate) const SLOTS: usize = 2;
/// Polls of a future that is awaited to its end, if that is certain to come.
const TO_THE_END: u32 = 6;
/// Polls of one that is awaited where nobody may answer.
const POLLS_MAX: u32 = 20;

/// What a static slot's calls run.
pub(crate) type Job = Box<dyn FnOnce() -> Counted + Send>;
pub(crate) type Slot = AwaitedSlot<Job, Counted, Panic>;

/// One CPU, or for calls that come one after the other, or at once, some. `amount`: how often a future is polled, times two; odd:
/// then it is forgotten, else dropped. `flag`: the functions panic.
pub(super) fn draw_one(draw: &mut Draw, _thread: usize) -> Op {
    Op { cpus: vec![draw.cpu()], ..draw_end(draw) }
}

pub(super) fn draw_some(draw: &mut Draw, _thread: usize) -> Op {
    let calls = draw.rng.between(1, 4);
    let cpus = (0..calls).map(|_| draw.cpu()).collect();
    // Which slot.
    Op { cpus, csds: vec![draw.rng.below(SLOTS)], ..draw_end(draw) }
}

pub(super) fn draw_mask(draw: &mut Draw, _thread: usize) -> Op {
    Op { cpus: draw.some_cpus(), ..draw_end(draw) }
}

fn draw_end(draw: &Draw) -> Op {
    let polls = draw.rng.below(TO_THE_END as usize + 1) as u32;
    let is_forgotten = draw.rng.chance(0.3);
    Op {
        amount: 2 * polls + u32::from(is_forgotten),
        flag: draw.rng.chance(draw.faults.panics),
        ..Op::default()
    }
}

/// How a future ends.
#[derive(Clone, Copy)]
struct Ending {
    polls: u32,
    is_forgotten: bool,
}

impl Ending {
    fn of(op: &Op) -> Self {
        Self { polls: op.amount / 2, is_forgotten: op.amount % 2 == 1 }
    }
}

/// A call with a slot of its own, which its future owns.
pub(super) fn once(ground: &'static Ground, op: &Op) {
    ground.op(Act::Await { targets: op.cpus.clone(), how: How::Once }, |number| {
        let target = op.cpus[0];
        let call = ground.machine.call_async(target, job(number, target, op.flag));
        finish(number, Ending::of(op), call, |answer| tell(number, target, answer))
    });
}

/// Several by one slot on the heap.
pub(super) fn by_own(ground: &'static Ground, op: &Op) {
    let mut call = AsyncCall::new();
    in_turn(ground, op, How::Own, &mut call);
    ground.op(Act::Give { slot: None }, |_| {
        drop(call);
        Came::Ok
    });
}

/// Several by a static slot.
pub(super) fn by_slot(ground: &'static Ground, op: &Op) {
    let number = op.csds.first().copied().unwrap_or_default();
    let mut call = None;
    ground.op(Act::Take { slot: number }, |_| {
        call = AsyncCall::of(&ground.slots[number]);
        if call.is_some() { Came::Ok } else { Came::NoSlot }
    });
    let Some(mut call) = call else { return };
    in_turn(ground, op, How::Slot, &mut call);
    ground.op(Act::Give { slot: Some(number) }, |_| {
        drop(call);
        // That it is free is in memory when the op has ended.
        engine().publish();
        Came::Ok
    });
}

fn in_turn(ground: &'static Ground, op: &Op, how: How, call: &mut AsyncCall<Job, Counted, Panic>) {
    for target in &op.cpus {
        ground.op(Act::Await { targets: vec![*target], how }, |number| {
            let job: Job = Box::new(job(number, *target, op.flag));
            let pending = ground.machine.call_async_by(call, *target, job);
            finish(number, Ending::of(op), pending, |answer| tell(number, *target, answer))
        });
    }
}

/// Several at once.
pub(super) fn many(ground: &'static Ground, op: &Op) {
    ground.op(Act::Await { targets: op.cpus.clone(), how: How::Many }, |number| {
        let mask = super::many::mask_of(&op.cpus, ground.scenario.cpus);
        let (function, panics) = (Counted::new(number, Part::Function), op.flag);
        let call = ground.machine.call_async_many(&mask, move |cpu| run(function, cpu, panics));
        finish(number, Ending::of(op), call, |answers| {
            answers.into_iter().for_each(|(cpu, answer)| tell(number, cpu, answer));
        })
    });
}

/// At the end of a run, when no virtual CPU is there any more: each slot is free, and what is left in it goes.
pub(crate) fn empty_slots(ground: &'static Ground) {
    for slot in &ground.slots {
        engine().unscheduled(|| match AsyncCall::of(slot) {
            Some(call) => drop(call),
            None => {
                engine().log(EventKind::Panicked { message: "a static slot was not given back".to_owned() })
            }
        });
    }
}

/// Something that an awaited call carries, and that goes once.
pub(crate) struct Counted {
    op: usize,
    part: Part,
}

impl Counted {
    fn new(op: usize, part: Part) -> Self {
        engine().log(EventKind::Made { op, part });
        Self { op, part }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Self::new(self.op, self.part)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // A slot may be freed next, and a store to it that came late would be one to whatever is there then: an allocator
        // sees to that.
        engine().publish();
        engine().log(EventKind::Gone { op: self.op, part: self.part });
    }
}

fn job(op: usize, target: u32, panics: bool) -> impl FnOnce() -> Counted + Send + 'static {
    let function = Counted::new(op, Part::Function);
    move || run(function, target, panics)
}

fn run(function: Counted, cpu: u32, panics: bool) -> Counted {
    ground().as_run(Of::Awaited(function.op, cpu), true, panics, || {
        // Some run for longer than a future is kept.
        (0..1 + 25 * (function.op % 4)).for_each(|_| engine().point(PORT));
        if panics {
            Ground::panic_as_meant();
        }
        Counted::new(function.op, Part::Result(cpu))
    })
}

fn tell(op: usize, cpu: u32, answer: Result<Counted, AsyncCallError<Panic>>) {
    let told = match &answer {
        Ok(result) if (result.op, result.part) == (op, Part::Result(cpu)) => Answer::Right,
        Err(AsyncCallError::Offline) => Answer::Offline,
        Err(AsyncCallError::Panicked(_)) => Answer::Panicked,
        _ => Answer::Wrong,
    };
    engine().log(EventKind::Told { op, cpu, answer: told });
}

/// A task's waker, which says what it was used for. Its memory is given back at the end of the run, though it goes before
/// ([`Ground::bells`]).
pub(crate) struct Bell {
    op: usize,
    number: u32,
    thread: usize,
    is_woken: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let engine = engine();
        engine.point(PORT);
        if self.thread < ground().scenario.cpus {
            engine.send_ring(self.thread);
        } else {
            engine.send_wake(self.thread);
        }
        engine.log(EventKind::Woken { op: self.op, waker: self.number });
        // Relaxed: there is one OS thread.
        self.is_woken.store(true, Relaxed);
        // A CPU's executor sleeps on the CPU's doorbell.
        if self.thread < ground().scenario.cpus { engine.rung(self.thread) } else { engine.wake(self.thread) }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        engine().log(EventKind::Gone { op: self.op, part: Part::Waker(self.number) });
    }
}

/// Polls a future as often as it is to be, and drops or forgets it, if it has not ended.
fn finish<T>(op: usize, ending: Ending, mut call: Awaiting<'_, T>, answered: impl FnOnce(T)) -> Came {
    let faults = &ground().scenario.faults;
    // Who waits for a CPU that is stuck, or was never rung, gives up.
    let is_sure = faults.lost == 0.0 && faults.stuck == 0.0;
    let polls = match ending.polls {
        TO_THE_END if is_sure => u32::MAX,
        TO_THE_END => POLLS_MAX,
        polls => polls,
    };
    let thread = engine().me();
    // A task that moves about has another waker each time.
    let bells = [0, 1].map(|number| {
        engine().log(EventKind::Made { op, part: Part::Waker(number) });
        let bell = Arc::new(Bell { op, number, thread, is_woken: AtomicBool::new(false) });
        ground().bells.borrow_mut().push(Arc::downgrade(&bell));
        bell
    });
    for poll in 0..polls {
        let bell = &bells[if polls == u32::MAX { 0 } else { poll as usize % 2 }];
        // Relaxed: there is one OS thread.
        bell.is_woken.store(false, Relaxed);
        engine().log(EventKind::Polled { op, waker: bell.number });
        let polled = poll_once(&mut call, &Waker::from(Arc::clone(bell)));
        if let Poll::Ready(answer) = polled {
            answered(answer);
            return Came::Ok;
        }
        engine().log(EventKind::Pends { op, waker: bell.number });
        if poll + 1 < polls {
            rest(
                &bell.is_woken,
                if polls == u32::MAX { u64::MAX } else { engine().now_ns() + 500 * u64::from(1 + poll % 4) },
            );
        }
    }
    if ending.is_forgotten {
        std::mem::forget(call);
        Came::Forgotten
    } else {
        drop(call);
        Came::Dropped
    }
}

fn poll_once<T>(call: &mut Awaiting<'_, T>, waker: &Waker) -> Poll<T> {
    Pin::new(call).poll(&mut Context::from_waker(waker))
}

/// The executor's thread has nothing to do until it is woken, or until then.
fn rest(is_woken: &AtomicBool, until_ns: u64) {
    let is_woken = || is_woken.load(Relaxed); // Relaxed: there is one OS thread.
    if engine().cpu().is_some() {
        ground().idle_unless(Some(until_ns), is_woken);
    } else if !is_woken() {
        engine().park(until_ns);
    }
    if is_woken() {
        engine().receive_wakes();
    }
}
