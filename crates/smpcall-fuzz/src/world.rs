//! What the threads of one program share. It is never freed: nor are machines that threads are CPUs of.

use crate::count::{Count, Flag, Seat, this_thread};
use crate::judge::{self, complain};
use crate::listen::Listener;
use crate::payload::{self, Frame, Payload};
use crate::plant::Plant;
use crate::program::{CsdSpec, Held, IdleSpec, MachineSpec, Program};
use crate::steps;
use smpcall_host::smpcall::{CallStall, Csd, Here, Message, PerCpuCell, Platform, TakeError};
use smpcall_host::{Idle, Machine};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The world, once there is one.
pub(crate) type Later = Arc<OnceLock<&'static World>>;
pub(crate) type Host = Machine<Listener>;
pub(crate) type AnyCsd = Csd<Box<dyn Fn() + Send + Sync>>;

/// How many steps a program does at most.
const STEPS_MAX: u32 = 400;

pub(crate) struct World {
    pub(crate) program: &'static Program,
    pub(crate) plant: Plant,
    pub(crate) machines: Vec<&'static Host>,
    pub(crate) csds: Vec<CsdThere>,
    /// By the numbers of steps.
    pub(crate) counts: Vec<Runs>,
    pub(crate) messages: Vec<MessageThere>,
    /// For each machine, one for each CPU.
    pub(crate) cells: Vec<Vec<PerCpuCell<u64>>>,
    seats: Vec<Vec<Seat>>,
    /// How many functions and the like are under way in the thread that is each CPU, or was when they began.
    frames: Vec<Vec<Count>>,
    steps: Count,
    pub(crate) made: Count,
    pub(crate) dropped: Count,
    /// Threads whose steps are all done.
    pub(crate) done: Count,
    /// A thread stopped being a CPU though a frame of that CPU was under what it did.
    pub(crate) left_under_a_frame: Flag,
    /// Threads serve until then.
    pub(crate) closing: Flag,
}

/// A csd, and what is counted of it.
pub(crate) struct CsdThere {
    pub(crate) held: HeldCsd,
    pub(crate) runs: Arc<CsdRuns>,
}

pub(crate) enum HeldCsd {
    Static(&'static AnyCsd),
    Counted(Mutex<Option<Arc<AnyCsd>>>),
}

/// What a message carries, there and back.
pub(crate) struct Sent {
    #[expect(dead_code, reason = "there to be dropped")]
    pub(crate) payload: Option<Payload>,
}

pub(crate) type AnyMessage = Message<Sent, Sent, Box<dyn Fn(Sent, Here<'_>) -> Sent + Send + Sync>>;

/// A message, and what is counted of it. Its function does what that of the csd in the same place does.
pub(crate) struct MessageThere {
    pub(crate) held: HeldMessage,
    /// Values that were sent.
    pub(crate) accepted: Count,
    ran: Arc<Count>,
    /// Results that were taken out.
    answered: Count,
    /// Panics that were, in place of a result.
    panicked: Count,
    /// Values that came back, since their run was cancelled.
    returned: Count,
}

pub(crate) enum HeldMessage {
    Static(&'static AnyMessage),
    Counted(Arc<AnyMessage>),
}

impl MessageThere {
    pub(crate) fn message(&self) -> &AnyMessage {
        match &self.held {
            HeldMessage::Static(message) => message,
            HeldMessage::Counted(message) => message,
        }
    }

    /// Counts what was taken out, and drops it.
    pub(crate) fn took(&self, taken: Result<Sent, TakeError<Sent>>) {
        match &taken {
            Ok(_) => self.answered.add(1),
            Err(TakeError::Cancelled(_)) => self.returned.add(1),
            Err(TakeError::Panicked) => self.panicked.add(1),
            Err(_) => 0,
        };
        drop(taken);
    }

    /// Each value that was sent came to one end.
    pub(crate) fn judge(&self, at: usize) {
        if self.message().is_pending() {
            complain("P1", &format!("message {at} is on its way at rest"));
        }
        let (accepted, ran) = (self.accepted.get(), self.ran.get());
        let (answered, panicked, returned) = (self.answered.get(), self.panicked.get(), self.returned.get());
        if ran != answered + panicked || accepted != ran + returned {
            let ends = format!("{answered} answers, {panicked} panics, {returned} values back");
            complain("P1", &format!("message {at}: {accepted} sent, {ran} runs, {ends}"));
        }
    }
}

/// What is counted of a csd.
#[derive(Default)]
pub(crate) struct CsdRuns {
    /// Posts that were answered Ok.
    pub(crate) accepted: Count,
    /// Runs that were cancelled.
    pub(crate) removed: Count,
    /// Posts that were refused: those who relied on them are owed nothing by a run.
    pub(crate) refused: Count,
    pub(crate) ran: Count,
    /// Written before each post.
    pub(crate) wrote: Count,
    /// The highest of these whose post was answered Ok or Busy.
    pub(crate) owed: Count,
    /// The highest that a run saw.
    pub(crate) seen: Count,
}

/// What is counted of a function that nobody waits for.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) accepted: Count,
    pub(crate) ran: Count,
    /// How many were accepted is not known: a panic took the answer.
    pub(crate) unknown: Flag,
}

impl World {
    pub(crate) fn start(program: &'static Program, plant: Plant) -> &'static Self {
        let later = Later::default();
        let machines: Vec<&'static Host> =
            program.machines.iter().enumerate().map(|(at, spec)| start_machine(at, spec, &later)).collect();
        let parts = program.parts().into_iter().max().unwrap_or(0) as usize + 1;
        let seats = program.machines.iter().map(|machine| one_each(machine.cpus())).collect();
        let frames = program.machines.iter().map(|machine| one_each(machine.cpus())).collect();
        let world: &'static Self = Box::leak(Box::new(Self {
            program,
            plant,
            machines,
            csds: program.csds.iter().map(|spec| make_csd(spec, &later)).collect(),
            counts: std::iter::repeat_with(Runs::default).take(parts).collect(),
            messages: program.csds.iter().map(|spec| make_message(spec, &later)).collect(),
            cells: program.machines.iter().map(|machine| make_cells(machine.cpus())).collect(),
            seats,
            frames,
            steps: Count::new(),
            made: Count::new(),
            dropped: Count::new(),
            done: Count::new(),
            left_under_a_frame: Flag::new(),
            closing: Flag::new(),
        }));
        let _ = later.set(world);
        world
    }

    pub(crate) fn may_step(&self) -> bool {
        self.steps.add(1) < STEPS_MAX
    }

    /// The program may have fewer machines than when a step was drawn.
    pub(crate) fn machine_of(&self, machine: usize) -> (usize, &'static Host) {
        let at = machine % self.machines.len();
        (at, self.machines[at])
    }

    /// Which CPU the calling thread is.
    pub(crate) fn here(&self) -> Option<(usize, u32)> {
        let cpu = |machine: &&'static Host| machine.platform().current_cpu();
        self.machines.iter().enumerate().find_map(|(at, machine)| Some((at, cpu(machine)?)))
    }

    pub(crate) fn sit_down(&self, machine: usize, cpu: u32) {
        self.seats[machine][cpu as usize].put(this_thread());
    }

    pub(crate) fn frames_of(&self, (machine, cpu): (usize, u32)) -> &Count {
        &self.frames[machine][cpu as usize]
    }

    /// The calling thread has just become that CPU: nobody else may be in the middle of anything as the same.
    pub(crate) fn demand_alone(&self, machine: usize, cpu: u32) {
        let frames = self.frames_of((machine, cpu)).get();
        if frames != 0 {
            let what = format!(
                "CPU {cpu}: another thread became it, and {frames} functions run in the one that was"
            );
            complain("memory: two threads are one CPU", &what);
        }
    }

    /// Before the thread stops being that CPU: others may be it from some moment on.
    pub(crate) fn stand_up(&self, machine: usize, cpu: u32) {
        self.seats[machine][cpu as usize].put(0);
    }

    /// A function for that CPU runs: is it there?
    pub(crate) fn demand_cpu(&self, machine: usize, cpu: u32, id: u32) {
        let here = self.machines[machine].platform().current_cpu();
        if here != Some(cpu) {
            complain("memory: wrong thread", &format!("[{id}] for CPU {cpu} runs on {here:?}"));
        }
        let seat = &self.seats[machine][cpu as usize];
        let owned = (cpu as usize) < self.program.machines[machine].owned;
        let fits = if owned { seat.is_always(this_thread()) } else { seat.may_be(this_thread()) };
        if !fits {
            complain("memory: wrong thread", &format!("[{id}] for CPU {cpu} runs in another thread"));
        }
    }

    /// A function for some CPU runs.
    pub(crate) fn demand_a_cpu(&self, what: &str) {
        match self.here() {
            Some((machine, cpu)) => self.demand_cpu(machine, cpu, 0),
            None => complain("memory: wrong thread", &format!("{what} runs on a thread that is no CPU")),
        }
    }
}

fn one_each<T: Default>(cpus: u32) -> Vec<T> {
    (0..cpus).map(|_| T::default()).collect()
}

fn start_machine(at: usize, spec: &'static MachineSpec, later: &Later) -> &'static Host {
    let idle = match spec.idle {
        IdleSpec::Sleep => Idle::Sleep,
        IdleSpec::PollThenSleep => Idle::PollThenSleep(Duration::from_micros(20)),
        IdleSpec::Poll => Idle::Poll,
    };
    let handler = |later: Later| {
        move |_: &CallStall| {
            if let (Some(drops), Some(world)) = (&spec.stall, later.get()) {
                let _frame = Frame::of(world, at);
                let ran = steps::run_nested(world, &drops.steps);
                // It is caught, but not while another panic goes its way.
                if ran && drops.panic.is_some() && !std::thread::panicking() {
                    std::panic::panic_any(judge::Thrown);
                }
            }
        }
    };
    let machine = Machine::builder()
        .owned(spec.owned)
        .attachable(spec.attachable)
        .idle(idle)
        .stall_timeout(Duration::from_micros(spec.stall_us.into()))
        .on_call_stall(handler(Arc::clone(later)))
        .on_unstuck(handler(Arc::clone(later)))
        .on_queue_stall(|_| {})
        .trace(Listener::new(spec.tap.as_ref(), Arc::clone(later)))
        .build();
    Box::leak(Box::new(machine.expect("a machine of a few threads can be started")))
}

fn make_cells(cpus: u32) -> Vec<PerCpuCell<u64>> {
    (0..cpus).map(|_| PerCpuCell::new(0)).collect()
}

fn make_message(spec: &'static CsdSpec, later: &Later) -> MessageThere {
    let ran = Arc::new(Count::new());
    let (mine, later) = (Arc::clone(&ran), Arc::clone(later));
    let function = move |sent: Sent, _: Here<'_>| {
        mine.add(1);
        if let Some(world) = later.get() {
            world.demand_a_cpu("a message's function");
            let _ = payload::act(world, 0, &spec.body);
        }
        sent
    };
    let message: AnyMessage = Message::new(Box::new(function));
    let held = match spec.held {
        Held::Static => HeldMessage::Static(Box::leak(Box::new(message))),
        Held::Counted => HeldMessage::Counted(Arc::new(message)),
    };
    let [accepted, answered, panicked, returned] = [const { Count::new() }; 4];
    MessageThere { held, accepted, ran, answered, panicked, returned }
}

fn make_csd(spec: &'static CsdSpec, later: &Later) -> CsdThere {
    let runs = Arc::new(CsdRuns::default());
    let (mine, later) = (Arc::clone(&runs), Arc::clone(later));
    let held: OnceLock<Option<Payload>> = OnceLock::new();
    let function = move || {
        let Some(world) = later.get() else { return };
        // What it holds comes to be with its first run, and goes with the csd.
        held.get_or_init(|| Payload::of(world, &spec.body.captured));
        world.demand_a_cpu("a csd's function");
        mine.seen.raise_to(mine.wrote.get());
        mine.ran.add(1);
        if world.plant == Plant::RunsTwice {
            mine.ran.add(1);
        }
        let _ = payload::act(world, 0, &spec.body);
    };
    let csd: AnyCsd = Csd::new(Box::new(function));
    let held = match spec.held {
        Held::Static => HeldCsd::Static(Box::leak(Box::new(csd))),
        Held::Counted => HeldCsd::Counted(Mutex::new(Some(Arc::new(csd)))),
    };
    CsdThere { held, runs }
}
