//! The paths of a thread through compiled code. Each instruction is carried out on values; what a load of memory that others write
//! may read is chosen from all that is ever written there, one path for each choice. Whether the values of two threads' paths can come
//! about together is the memory model's to say: a path is handed to herd7 as its accesses, one after another, with what they read.

use super::asm::{Code, Instr};
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// Where the arguments of a probe point to: so far apart that no object reaches into the next.
pub(super) const APART: u64 = 0x1_0000;
/// The stack, which is the thread's own.
const STACK: u64 = 0x7000_0000;
/// More than any path has: a loop that goes round for ever.
const STEPS_MAX: usize = 4000;
/// How often what one thread writes may change what the other does.
const TURNS_MAX: usize = 20;
/// How often a path may come to one instruction. A try that fails for somebody else's step is followed by one more; what needs a third
/// needs a third step of the other thread, which none here has.
const ROUNDS_MAX: usize = 3;

/// One access to memory that both threads use, or a fence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Event {
    /// The instruction's mnemonic, and whatever else decides how it orders.
    pub(super) op: String,
    pub(super) place: u64,
    pub(super) bytes: u32,
    pub(super) what: What,
}

/// What an access does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Load(u64),
    Store(u64),
    /// A read-modify-write in one instruction: what was there, what is now, and its operand. `shown`: it says what was there.
    Modify {
        old: u64,
        new: u64,
        operand: u64,
        shown: bool,
    },
    /// A compare-and-swap that found something else.
    Fail {
        old: u64,
        expected: u64,
        new: u64,
    },
    /// The two halves of one in two.
    Reserve(u64),
    Conditional(u64),
    Fence,
}

/// A thread from its first instruction to its return.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Path {
    pub(super) events: Vec<Event>,
    pub(super) returns: u64,
}

impl Event {
    /// What it says that was there.
    fn read(&self) -> Option<u64> {
        match self.what {
            What::Load(value) | What::Reserve(value) => Some(value),
            What::Modify { old, shown: true, .. } | What::Fail { old, .. } => Some(old),
            _ => None,
        }
    }

    fn written(&self) -> Option<u64> {
        match self.what {
            What::Store(new) | What::Modify { new, .. } | What::Conditional(new) => Some(new),
            _ => None,
        }
    }
}

impl Path {
    /// Whether, place by place, the accesses of both can be put into one order in which each reads what was written last: each of the
    /// models demands that, and it rules out nearly all pairs without asking one.
    pub(super) fn goes_with(&self, other: &Path, initial: &BTreeMap<u64, u64>) -> bool {
        let places: BTreeSet<u64> =
            self.events.iter().chain(&other.events).map(|event| event.place).collect();
        places.into_iter().all(|place| {
            let of = |path: &Path| path.steps_at(place);
            let (first, second) = (of(self), of(other));
            can_be_merged(&first, &second, initial.get(&place).copied().unwrap_or(0))
        })
    }

    /// Its accesses to one place; a pair whose second half went through is one step.
    fn steps_at(&self, place: u64) -> Vec<Event> {
        let mut steps: Vec<Event> = Vec::new();
        for event in self.events.iter().filter(|event| event.place == place) {
            let reserved = steps.last().map(|last| last.what.clone());
            match (reserved, steps.last_mut(), &event.what) {
                (Some(What::Reserve(old)), Some(last), &What::Conditional(new)) => {
                    last.what = What::Modify { old, new, operand: new, shown: true };
                }
                _ => steps.push(event.clone()),
            }
        }
        steps
    }

    fn writes(&self) -> usize {
        self.events.iter().filter(|event| event.written().is_some()).count()
    }
}

fn can_be_merged(first: &[Event], second: &[Event], value: u64) -> bool {
    let goes_on = |events: &[Event], other: &[Event], is_first: bool| {
        let Some((event, rest)) = events.split_first() else { return false };
        let after = event.written().unwrap_or(value);
        let (one, two) = if is_first { (rest, other) } else { (other, rest) };
        event.read().is_none_or(|read| read == value) && can_be_merged(one, two, after)
    };
    first.is_empty() && second.is_empty() || goes_on(first, second, true) || goes_on(second, first, false)
}

/// What the machine's instructions do.
pub(super) trait Isa {
    /// Carries one out; where the next one is.
    fn step(&self, thread: &mut Thread<'_>, instr: &Instr) -> Result<Next>;
    /// The registers in which a function finds its arguments and returns its result.
    fn argument(&self, at: usize) -> &'static str;
    fn result(&self) -> &'static str;
    fn stack(&self) -> &'static str;
}

/// Where a thread goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Following,
    /// At a label.
    Jump(String),
    /// A function of the same file, and back.
    Call(String),
    Return,
}

/// What a thread ever writes: the values by place.
pub(super) type Values = BTreeMap<u64, BTreeSet<u64>>;

/// A thread under way.
pub(super) struct Thread<'a> {
    registers: BTreeMap<String, u64>,
    /// What it wrote last, by place.
    own: BTreeMap<u64, u64>,
    shared: &'a BTreeSet<u64>,
    /// What the other thread writes.
    values: &'a Values,
    initial: &'a BTreeMap<u64, u64>,
    pub(super) events: Vec<Event>,
    /// Which value each load reads, as far as that was decided; and among how many.
    choices: Vec<(usize, usize)>,
    chosen: usize,
    pub(super) touched: BTreeMap<u64, u32>,
    /// What the last comparison compared, for the machines that have flags: left, right, and in how many bits.
    pub(super) flags: (u64, u64, u32),
}

impl Thread<'_> {
    pub(super) fn get(&self, register: &str) -> u64 {
        self.registers.get(register).copied().unwrap_or(0)
    }

    pub(super) fn set(&mut self, register: &str, value: u64) {
        self.registers.insert(register.to_owned(), value);
    }

    fn is_shared(&self, place: u64) -> bool {
        self.shared.contains(&place)
    }

    fn touch(&mut self, place: u64, bytes: u32) -> Result<()> {
        ensure!(place >= APART, "an access to {place:#x}, which is no argument's");
        if place < STACK - APART {
            let before = *self.touched.entry(place).or_insert(bytes);
            ensure!(before == bytes, "{before} and {bytes} bytes at one place");
        }
        Ok(())
    }

    /// What a load may read, one for each path.
    pub(super) fn load(&mut self, op: &str, place: u64, bytes: u32) -> Result<u64> {
        let value = self.read(place, bytes)?;
        self.event(op, place, bytes, What::Load(value));
        Ok(value)
    }

    /// The same, of which the caller says itself what it is.
    pub(super) fn read(&mut self, place: u64, bytes: u32) -> Result<u64> {
        self.touch(place, bytes)?;
        // What it wrote last, or else what was there from the start, which nobody reads after a write of its own.
        let before = self.own.get(&place).or(self.initial.get(&place)).copied().unwrap_or(0);
        if !self.is_shared(place) {
            return Ok(before);
        }
        let mut all: Vec<u64> = self.values.get(&place).into_iter().flatten().copied().collect();
        if !all.contains(&before) {
            all.push(before);
        }
        if self.chosen == self.choices.len() {
            self.choices.push((0, all.len()));
        }
        let choice = self.choices[self.chosen].0;
        self.chosen += 1;
        Ok(all[choice])
    }

    pub(super) fn store(&mut self, op: &str, place: u64, bytes: u32, value: u64) -> Result<()> {
        self.touch(place, bytes)?;
        let value = truncate(value, bytes);
        self.own.insert(place, value);
        self.event(op, place, bytes, What::Store(value));
        Ok(())
    }

    /// A read-modify-write, or a part of one, of which `read` has told what is there.
    pub(super) fn wrote(&mut self, op: &str, place: u64, bytes: u32, what: What) -> Result<()> {
        self.touch(place, bytes)?;
        if let What::Modify { new, .. } | What::Conditional(new) = what {
            self.own.insert(place, new);
        }
        self.event(op, place, bytes, what);
        Ok(())
    }

    pub(super) fn event(&mut self, op: &str, place: u64, bytes: u32, what: What) {
        if what == What::Fence || self.is_shared(place) {
            self.events.push(Event { op: op.to_owned(), place, bytes, what });
        }
    }
}

pub(super) fn truncate(value: u64, bytes: u32) -> u64 {
    if bytes >= 8 { value } else { value & ((1 << (8 * bytes)) - 1) }
}

pub(super) fn sign_extend(value: u64, bytes: u32) -> u64 {
    let unused = 64 - 8 * bytes.min(8);
    ((value << unused) as i64 >> unused) as u64
}

/// A probe: the function of each thread, its arguments, and what memory holds before.
pub(super) struct Probe<'a> {
    pub(super) isa: &'a dyn Isa,
    pub(super) code: &'a Code,
    /// The labels of the threads' functions, and the places that each is given.
    pub(super) threads: [(String, Vec<u64>); 2],
    pub(super) initial: BTreeMap<u64, u64>,
}

/// The paths of both threads, and the places that both use with their sizes.
pub(super) struct Paths {
    pub(super) threads: [BTreeSet<Path>; 2],
    pub(super) places: BTreeMap<u64, u32>,
}

impl Probe<'_> {
    /// Follows both threads until nothing new is written, and no further place is found to be shared.
    pub(super) fn paths(&self) -> Result<Paths> {
        let (mut shared, mut values) = (BTreeSet::new(), [Values::new(), Values::new()]);
        for turn in 0..TURNS_MAX {
            let (mut found, mut written) = ([BTreeSet::new(), BTreeSet::new()], values.clone());
            let mut touched = [BTreeMap::new(), BTreeMap::new()];
            for at in 0..2 {
                self.follow_all(at, &shared, &values[1 - at], &mut found[at], &mut touched[at])?;
                for event in found[at].iter().flat_map(|path: &Path| &path.events) {
                    if let Some(new) = event.written() {
                        written[at].entry(event.place).or_default().insert(new);
                    }
                }
            }
            let [first, second] = &touched;
            let mut places = BTreeMap::new();
            for (place, bytes) in first {
                if let Some(other) = second.get(place) {
                    ensure!(bytes == other, "{bytes} and {other} bytes at one place");
                    places.insert(*place, *bytes);
                }
            }
            let both: BTreeSet<u64> = places.keys().copied().collect();
            // A value comes of one that was read, that one of another, and no write is twice in such a row.
            let writes = |paths: &BTreeSet<Path>| paths.iter().map(Path::writes).max().unwrap_or(0);
            let is_settled = written == values || turn > writes(&found[0]) + writes(&found[1]);
            if both == shared && is_settled {
                return Ok(Paths { threads: found, places });
            }
            (shared, values) = (both, written);
        }
        bail!("what the threads write does not settle in {TURNS_MAX} turns")
    }

    fn follow_all(
        &self,
        at: usize,
        shared: &BTreeSet<u64>,
        values: &Values,
        found: &mut BTreeSet<Path>,
        touched: &mut BTreeMap<u64, u32>,
    ) -> Result<()> {
        let mut choices = Vec::new();
        loop {
            let mut thread = Thread {
                registers: BTreeMap::new(),
                own: BTreeMap::new(),
                shared,
                values,
                initial: &self.initial,
                events: Vec::new(),
                choices,
                chosen: 0,
                touched: std::mem::take(touched),
                flags: (0, 0, 64),
            };
            found.extend(self.follow(at, &mut thread)?);
            *touched = std::mem::take(&mut thread.touched);
            choices = thread.choices;
            choices.truncate(thread.chosen);
            // The next path: the last load that has a value left reads that one.
            while choices.last().is_some_and(|&(choice, of)| choice + 1 == of) {
                choices.pop();
            }
            match choices.last_mut() {
                Some((choice, _)) => *choice += 1,
                None => return Ok(()),
            }
        }
    }

    /// One path; none if it is cut short.
    fn follow(&self, at: usize, thread: &mut Thread<'_>) -> Result<Option<Path>> {
        let (function, arguments) = &self.threads[at];
        for (at, place) in arguments.iter().enumerate() {
            thread.set(self.isa.argument(at), *place);
        }
        thread.set(self.isa.stack(), STACK);
        let (mut here, mut callers, mut rounds) = (self.code.label(function)?, Vec::new(), BTreeMap::new());
        for _ in 0..STEPS_MAX {
            let instr = self.code.instrs.get(here).context("it runs off the end of the code")?;
            let round = rounds.entry(here).or_insert(0);
            *round += 1;
            if *round > ROUNDS_MAX {
                return Ok(None);
            }
            let next =
                self.isa.step(thread, instr).with_context(|| format!("{function}: `{}`", instr.text()))?;
            here = match next {
                Next::Following => here + 1,
                Next::Jump(label) => self.code.label(&label)?,
                Next::Call(label) => {
                    callers.push(here + 1);
                    self.code
                        .label(&label)
                        .with_context(|| format!("{function} calls what is not the core's"))?
                }
                Next::Return => match callers.pop() {
                    Some(caller) => caller,
                    None => {
                        let returns = truncate(thread.get(self.isa.result()), 4);
                        return Ok(Some(Path { events: std::mem::take(&mut thread.events), returns }));
                    }
                },
            };
        }
        bail!("{function} does not return in {STEPS_MAX} instructions")
    }
}
