//! A thread of the soak: it draws kinds of calls, makes them, and in between does what its platform has it do, so that its
//! CPU is met in every state. And CPUs that come and go (P8): the CPU's own thread does it, when the driver wants it to.

use super::entries::{Entry, Outcome, Urgency};
use super::kinds::{Aim, Came, Ends, draw};
use super::rig::{Rig, Thread};
use super::shared_state::Poster;
use super::tally::{Check, Event};
use super::{Soak, Turn};
use core::fmt::Arguments;
use core::hint::spin_loop;
use core::num::NonZeroU32;
use smpcall::{Budget, CallError};

/// How many kinds a thread draws just before it rests: what they post must wake those that sleep already.
const PARTING: u32 = 4;
/// For how many looks a racer may keep a CPU at its queue.
const HELD_LOOKS_MAX: u32 = 4096;
/// How many calls a CPU that goes offline posts to itself, twice.
const ACCEPTED: usize = 4;

/// A thread.
///
/// Examples: [`Soak`]; `kernel/src/programs/torture.rs`, in the repository, step by step.
pub struct Worker<R: Rig> {
    pub(super) soak: &'static Soak<R>,
    pub(super) poster: &'static Poster<R>,
    pub(super) thread: R::Thread,
    /// The moment of the second post of a race.
    pub(super) aim: Aim,
    /// Whether what it does now may wait for others.
    pub(super) may_wait: bool,
}

/// Its life.
impl<R: Rig> Worker<R> {
    /// Makes the thread of that number: the CPUs are first. A CPU that was switched off has a new one.
    pub fn new(soak: &'static Soak<R>, number: usize, thread: R::Thread) -> Self {
        let poster = &soak.shared_state().posters[number];
        Self { soak, poster, thread, aim: Aim::default(), may_wait: true }
    }

    /// Runs until the driver stops it.
    ///
    /// # Errors
    ///
    /// What the platform's thread came to.
    pub fn run(&mut self) -> Result<(), <R::Thread as Thread>::Error> {
        if let Some(cpu) = self.poster.cpu {
            self.come_online(cpu)?;
        }
        loop {
            match self.soak.turn() {
                Turn::Run => self.step()?,
                Turn::Rest(rest) => self.rest(rest),
                Turn::Stop => return Ok(()),
            }
        }
    }

    /// Makes one call, and what comes between two; goes offline or comes online first, if the driver wants it.
    ///
    /// # Errors
    ///
    /// As for [`Self::run`].
    pub fn step(&mut self) -> Result<(), <R::Thread as Thread>::Error> {
        if let Some(cpu) = self.poster.cpu {
            match (self.is_online(), self.soak.cpu(cpu).wanted.is_set()) {
                (true, false) => self.go_offline(cpu)?,
                (false, true) => self.come_online(cpu)?,
                _ => {}
            }
        }
        if let Some(kind) =
            draw(&self.soak.shared_state().plan.weights, |_| true, |end| self.thread.below(end))
        {
            self.perform(kind);
        }
        self.thread.serve();
        if let Some(cpu) = self.poster.cpu {
            let held = &self.soak.cpu(cpu).held;
            let is_held = |_: &u32| held.is_set() && self.soak.cpu(cpu).online.is_set();
            (0..HELD_LOOKS_MAX).take_while(is_held).for_each(|_| _ = self.thread.poll(Budget::DEFAULT));
        }
        Ok(())
    }

    fn perform(&mut self, kind: usize) {
        self.poster.doing.set(kind + 1);
        let came = Self::PERFORM[kind](self);
        self.soak.kind(self.poster.sender.row, kind, came);
        self.poster.doing.set(0);
    }

    /// Comes to rest, and stays there until the next turn.
    fn rest(&mut self, rest: usize) {
        // Before the first turn there is nobody to post to.
        if rest > 0 {
            self.may_wait = false;
            for _ in 0..PARTING {
                let weights = &self.soak.shared_state().plan.weights;
                let kind = draw(weights, |kind| kind.ends == Ends::AtOnce, |end| self.thread.below(end));
                kind.into_iter().for_each(|kind| self.perform(kind));
            }
            self.may_wait = true;
        }
        let soak = self.soak;
        soak.resting.add(1);
        self.thread.rest(&|| soak.turn() != Turn::Rest(rest));
    }
}

/// Hotplug.
impl<R: Rig> Worker<R> {
    fn come_online(&mut self, cpu: u32) -> Result<(), <R::Thread as Thread>::Error> {
        self.thread.online()?;
        self.soak.cpu(cpu).online.set(1);
        self.event(Event::Hotplug);
        let posted = self.post_to_itself(cpu).map(|(_, posted)| posted);
        self.expect(
            Check::Hotplug,
            matches!(posted, None | Some(Outcome::Due)),
            format_args!("CPU {cpu} came online, and refused its first post"),
        );
        Ok(())
    }

    fn go_offline(&mut self, cpu: u32) -> Result<(), <R::Thread as Thread>::Error> {
        let mut posted = [None; 2 * ACCEPTED];
        posted[..ACCEPTED].fill_with(|| self.post_to_itself(cpu));
        // A flush that leaves some over, which are older than what comes after.
        self.thread.poll(Budget::calls(NonZeroU32::MIN));
        posted[ACCEPTED..].fill_with(|| self.post_to_itself(cpu));
        // Others post meanwhile.
        self.linger();
        self.thread.offline()?;
        self.soak.cpu(cpu).online.set(0);
        self.event(Event::Hotplug);
        for (own, posted) in posted.into_iter().flatten() {
            self.expect(
                Check::Hotplug,
                posted == Outcome::Due && own.is_settled(),
                format_args!("CPU {cpu} went offline, and left what it had accepted ({posted:?})"),
            );
        }
        // Only this thread can bring the CPU back, so now it must refuse.
        if let Some((own, posted)) = self.post_to_itself(cpu) {
            let refused = posted == Outcome::Refused && !own.is_pending();
            self.expect(Check::Hotplug, refused, format_args!("CPU {cpu} is offline, and accepted a post"));
        }
        let mut ran = false;
        let answer = self.soak.smp().call(cpu, || ran = true);
        let refused = answer == Err(CallError::Offline) && !ran;
        self.expect(
            Check::Hotplug,
            refused,
            format_args!("CPU {cpu} is offline, and a call to it came back as {answer:?}"),
        );
        self.thread.left();
        Ok(())
    }

    /// Posts one of its own csds, if one is free, to the CPU that it is, or was.
    fn post_to_itself(&self, cpu: u32) -> Option<(&'static Entry<R>, Outcome)> {
        let own = self.poster.sender.free().next()?;
        self.check_seen(own);
        Some((own, own.post(cpu, self.poster.sender.number(), Urgency::Now)))
    }
}

/// What a kind uses.
impl<R: Rig> Worker<R> {
    pub(super) fn is_online(&self) -> bool {
        self.poster.cpu.is_some_and(|cpu| self.soak.cpu(cpu).online.is_set())
    }

    /// Runs what was posted to the thread's CPU; returns how many functions that were.
    pub(super) fn poll(&mut self) -> usize {
        self.thread.poll(Budget::DEFAULT)
    }

    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.thread.below(end)
    }

    pub(super) fn one_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    /// Draws a CPU to call; now and then it is the thread's own.
    pub(super) fn partner(&mut self) -> u32 {
        let step = self.thread.below(self.soak.partners_len());
        self.soak.partner(self.poster.sender.home, step)
    }

    /// Draws a set of CPUs: some half of them.
    pub(super) fn choice(&mut self) -> impl Fn(u32) -> bool + Sync + use<R> {
        let bits = self.below(u32::MAX);
        move |cpu| bits >> (cpu % 32) & 1 != 0
    }

    /// The number of the next waiting call.
    pub(super) fn next_call(&self) -> usize {
        self.poster.next_call.add(1) + 1
    }

    /// Lets a moment pass.
    pub(super) fn linger(&mut self) {
        (0..self.below(32)).for_each(|_| spin_loop());
    }

    /// Publishes whom this thread is calling, for the callee that is calling it (P10), and for reports.
    pub(super) fn says_whom_it_calls(&self, target: Option<u32>) {
        let word = target.map_or(0, |target| target as usize + 1);
        self.poster.with.set(word);
        if let (Some(cpu), true) = (self.poster.cpu, self.is_online()) {
            self.soak.cpu(cpu).calling.set(word);
        }
    }

    pub(super) fn event(&self, event: Event) {
        self.soak.event(self.poster.sender.row, event, 1);
    }

    pub(super) fn expect(&self, check: Check, holds: bool, why: Arguments<'_>) -> bool {
        self.soak.expect(self.poster.sender.row, check, holds, why)
    }

    /// A refusal of what thread context may do.
    pub(super) fn refused(&self, what: Arguments<'_>) -> Came {
        self.expect(Check::Deadlock, false, what);
        Came::Refused
    }

    /// The target was offline.
    pub(super) fn offline(&self) -> Came {
        self.event(Event::Offline);
        Came::Refused
    }

    /// What a post came to; describes an answer that was counted as wrong.
    pub(super) fn came(&self, posted: Outcome, entry: &Entry<R>) -> Came {
        if posted == Outcome::Wrong {
            let (what, target) = (entry.what, entry.target());
            self.soak.complain(
                Check::Answer,
                format_args!(
                    "a poster of a csd ({what}), for CPU {target:?} or any, was told what cannot be (Busy though it was \
                     free, another CPU, or whether others relied on it)"
                ),
            );
        }
        if posted == Outcome::Due { Came::Done } else { Came::Refused }
    }

    /// Checks a csd that is settled: its last run has seen all that it was promised to see.
    pub(super) fn check_seen(&self, own: &Entry<R>) {
        let (what, target, seen, owed) = (own.what, own.target(), own.seen.read(), own.owed.read());
        self.expect(
            Check::Seen,
            own.is_seen(),
            format_args!(
                "a run on CPU {target:?} ({what}) saw {seen} where {owed} had been written before the post"
            ),
        );
    }
}

/// What handlers of interrupts do.
impl<R: Rig> Soak<R> {
    /// The handler of an interrupt on `cpu`: posts a few csds of its own, and one that everybody posts. It neither waits nor
    /// reports: a wrong answer is counted.
    ///
    /// Context: any; one at a time on each CPU.
    pub fn interrupted(&'static self, cpu: u32) {
        let handler = &self.shared_state().handlers[cpu as usize];
        self.event(handler.row, Event::Interrupt, 1);
        let partner = |number: usize| self.partner(handler.home, number as u32 % self.partners_len());
        for own in handler.free().take(2) {
            self.check(handler.row, Check::Seen, own.is_seen());
            let number = handler.number();
            // Another one each time, near and far.
            own.post(partner(number.wrapping_mul(0x9e37) >> 4), number, Urgency::Now);
        }
        let to = partner(handler.number());
        // A wrong answer is counted as an error by the post; a handler has no place to say more.
        let _ = self.shared_state().shared[to as usize].post_shared(handler.row, to, Urgency::Now);
    }
}

impl<R: Rig> core::fmt::Debug for Worker<R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Worker").field("cpu", &self.poster.cpu).finish_non_exhaustive()
    }
}
