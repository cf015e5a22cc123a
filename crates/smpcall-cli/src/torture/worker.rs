//! A thread of the torture: it draws kinds of calls, makes them, and in between serves its queue, polls, sleeps, or does
//! nothing, so that its CPU is met in every state.

mod hotplug;

use super::csds::{Outcome, Own};
use super::ground::Ground;
use super::interrupt;
use super::kinds::{Aim, KINDS};
use super::stage::Turn;
use super::tally::{Check, Event};
use super::weights::Weights;
use super::world::{Kit, World};
use anyhow::Result;
use fastrand::Rng;
use smpcall_host::Attached;
use smpcall_host::smpcall::{Budget, Flushed};
use std::hint::spin_loop;
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

/// How many kinds a thread draws just before it rests: what they post must wake those that sleep already.
const PARTING: u32 = 4;
/// For how many looks a racer may keep a CPU at its queue.
const HELD_LOOKS_MAX: u32 = 4096;

/// A thread.
pub(super) struct Worker {
    pub(super) world: &'static World,
    pub(super) kit: &'static Kit,
    pub(super) rng: Rng,
    /// The CPU that it is, while it is online.
    pub(super) attached: Option<Attached<'static>>,
    /// The moment of the second post of a race.
    pub(super) aim: Aim,
    /// Whether CPUs come and go.
    pub(super) hotplug: bool,
    /// Whether what it does now may wait for others.
    pub(super) may_wait: bool,
    /// The core that it is kept on, if any.
    core: Option<usize>,
    weights: Weights,
    calls: u64,
}

impl Worker {
    pub(super) fn new(
        world: &'static World,
        number: usize,
        rng: Rng,
        weights: Weights,
        core: Option<usize>,
        hotplug: bool,
    ) -> Self {
        let kit = &world.kits[number];
        let (attached, aim) = (None, Aim::default());
        Self { world, kit, rng, attached, aim, hotplug, may_wait: true, core, weights, calls: 0 }
    }

    /// The thread's life.
    pub(super) fn run(mut self) -> Result<()> {
        if let Some(cpu) = self.kit.cpu {
            self.come_online(cpu)?;
            interrupt::enlist(self.world, cpu);
        }
        loop {
            match self.ground().stage.turn() {
                Turn::Run => self.step()?,
                Turn::Rest(rest) => self.rest(rest),
                Turn::Stop => break,
            }
        }
        if let Some(cpu) = self.kit.cpu {
            interrupt::retire(self.world, cpu);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        self.follow_control()?;
        let kind = self.weights.draw(&mut self.rng);
        self.perform(kind);
        self.serve();
        Ok(())
    }

    fn perform(&mut self, kind: usize) {
        self.kit.doing.set(kind as u64 + 1);
        self.ground().tally.kind(self.kit.sender.row, kind);
        (KINDS[kind].perform)(self);
        self.kit.doing.set(0);
    }

    /// Comes to rest, and stays there until the next turn.
    fn rest(&mut self, rest: u64) {
        // Before the first turn there is nobody to post to.
        if rest > 0 {
            self.may_wait = false;
            for _ in 0..PARTING {
                if let Some(kind) = self.weights.draw_at_once(&mut self.rng) {
                    self.perform(kind);
                }
            }
            self.may_wait = true;
        }
        let stage = &self.ground().stage;
        stage.rests();
        let Some(attached) = &self.attached else { return stage.sleep(rest) };
        let cpu = self.ground().cpu(attached.cpu());
        while stage.turn() == Turn::Rest(rest) {
            cpu.parked.set(1);
            attached.park(None);
            cpu.parked.set(0);
        }
    }

    /// What a thread does between two calls.
    fn serve(&mut self) {
        let Some(attached) = &self.attached else {
            match self.rng.u8(..) {
                0..16 => thread::sleep(Duration::from_micros(self.rng.u64(50..500))),
                16..64 => thread::yield_now(),
                _ => {}
            }
            return;
        };
        match self.rng.u8(..) {
            // Polls from here on until it sleeps: posts do not ring it.
            0..12 => {
                attached.poll_begin();
                for _ in 0..self.rng.u32(1..200) {
                    self.poll(attached, Budget::DEFAULT);
                    spin_loop();
                }
            }
            12..40 => {
                attached.park(Some(Duration::from_micros(self.rng.u64(10..400))));
            }
            // Leaves something over, for itself to ring about.
            40..112 => {
                let calls = NonZeroU32::MIN.saturating_add(self.rng.u32(0..4));
                self.poll(attached, Budget::calls(calls));
            }
            112..208 => {
                self.poll(attached, Budget::DEFAULT);
            }
            // Nothing: its queue grows.
            _ => {}
        }
        let held = &self.ground().cpu(attached.cpu()).held;
        for _ in 0..HELD_LOOKS_MAX {
            if !held.is_set() {
                break;
            }
            self.poll(attached, Budget::DEFAULT);
        }
    }

    /// Runs what was posted; `None` if there was nothing.
    pub(super) fn poll(&self, attached: &Attached<'_>, budget: Budget) -> Option<u32> {
        match attached.poll(budget) {
            Flushed::All(0) => None,
            Flushed::All(ran) | Flushed::More(ran) => Some(ran),
            Flushed::Nested => {
                self.wrong("a flush from thread context says that it is in a call".to_owned());
                None
            }
        }
    }

    pub(super) fn ground(&self) -> &'static Ground {
        self.world.ground
    }

    /// Draws a CPU to call; now and then it is the thread's own.
    pub(super) fn partner(&mut self) -> u32 {
        let ground = self.ground();
        ground.partner(self.kit.sender.home, self.rng.u32(..ground.partners_len()))
    }

    /// The number of the next waiting call.
    pub(super) fn next_call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    /// Lets a moment pass.
    pub(super) fn linger(&mut self) {
        for _ in 0..self.rng.u32(..32) {
            spin_loop();
        }
    }

    /// Publishes whom this thread is calling, for the callee that is calling it (P10), and for reports.
    pub(super) fn says_whom_it_calls(&self, target: u32) {
        self.kit.with.set(u64::from(target) + 1);
        if let Some(attached) = &self.attached {
            self.ground().cpu(attached.cpu()).calling.set(u64::from(target) + 1);
        }
    }

    pub(super) fn says_it_calls_nobody(&self) {
        self.kit.with.set(0);
        if let Some(attached) = &self.attached {
            self.ground().cpu(attached.cpu()).calling.set(0);
        }
    }

    pub(super) fn event(&self, event: Event) {
        self.ground().tally.event(self.kit.sender.row, event, 1);
    }

    pub(super) fn expect(&self, check: Check, holds: bool, why: impl FnOnce() -> String) -> bool {
        self.ground().tally.expect(self.kit.sender.row, check, holds, why)
    }

    /// An answer that cannot be.
    pub(super) fn wrong(&self, what: String) {
        self.expect(Check::Answer, false, || what);
    }

    /// Describes an answer that was counted as wrong.
    pub(super) fn complain_if_wrong(&self, posted: Outcome, own: &Own, target: u32) {
        if posted == Outcome::Wrong {
            self.ground().tally.complain(format!(
                "{}: CPU {target} was sent a csd ({}) that only one thread posts, and that thread was told what \
                 cannot be (Busy though it was free, another CPU, or that others relied on it)",
                Check::Answer.name(),
                own.body.what
            ));
        }
    }

    /// Checks a csd that is settled: its last run has seen all that it was promised to see.
    pub(super) fn check_seen(&self, own: &Own) {
        self.expect(Check::Seen, own.is_seen(), || {
            format!(
                "a run on CPU {} ({}) saw {} where {} had been written before the post",
                own.body.target.read(),
                own.body.what,
                own.body.seen.read(),
                own.body.owed.read()
            )
        });
    }
}
