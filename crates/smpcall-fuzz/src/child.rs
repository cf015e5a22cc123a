//! A process that plays programs one after another, says which, and ends itself when one does not.

use crate::cut::{Cut, Names};
use crate::judge::{self, Judged};
use crate::plant::Plant;
use crate::play::{judged, play};
use crate::program::Program;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a program may take that may hang.
const HANG_ALLOWED: Duration = Duration::from_secs(5);

/// What is left out of the programs.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Less {
    /// Leaves out these parts of a program, by their numbers.
    #[arg(long, value_name = "PARTS", default_value = "")]
    pub cut: Cut,
    /// Leaves out these kinds of steps and parts.
    #[arg(long, value_name = "KINDS", default_value = "")]
    pub without: Names,
    /// Leaves out all other kinds of steps.
    #[arg(long, value_name = "KINDS")]
    pub only: Option<Names>,
    /// Plants a fault of the fuzzer's own.
    #[arg(long, hide = true, value_enum, default_value = "nothing")]
    pub plant: Plant,
}

impl Less {
    /// The program of a seed, without what is left out.
    pub fn of(&self, seed: u64) -> Program {
        let only = |what: &str| self.only.as_ref().is_none_or(|only| only.has(what));
        let mut program = Program::draw(seed, &|kind| only(kind) && !self.without.has(kind));
        program.retain(&mut |part| {
            let whole = part.what == "thread";
            (whole || only(part.what)) && !self.without.has(part.what) && !self.cut.has(*part.id)
        });
        // Steps that meant a machine which is left out mean the other.
        let machines = program.machines.len();
        program.retain(&mut |part| {
            if let Some(machine) = part.machine {
                *machine %= machines;
            }
            true
        });
        program
    }
}

/// Plays the programs of so many seeds.
pub fn run(first: u64, count: u64, less: &Less, hang: Duration) {
    judge::watch_panics();
    let until = watch_time(hang);
    for seed in first..first.saturating_add(count) {
        let program = less.of(seed);
        let (begin, limit) = match judged(&program) {
            Judged::All => ("begin", hang),
            // That it hangs is no fault: so it need not be waited for as long.
            Judged::Memory => ("begin-for-memory", hang.min(HANG_ALLOWED)),
        };
        say(begin, seed);
        *until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + limit;
        play(program, less.plant);
        say("end", seed);
    }
}

fn say(what: &str, seed: u64) {
    // If nobody listens any more, there is nobody to tell.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{what} {seed}").and_then(|()| out.flush());
}

/// Ends the process when a program takes longer than that.
fn watch_time(hang: Duration) -> Arc<Mutex<Instant>> {
    let until = Arc::new(Mutex::new(Instant::now() + hang));
    let watched = Arc::clone(&until);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(50));
            if Instant::now() > *watched.lock().unwrap_or_else(PoisonError::into_inner) {
                judge::complain("hang", &format!("not done after {hang:?}"));
            }
        }
    });
    until
}
