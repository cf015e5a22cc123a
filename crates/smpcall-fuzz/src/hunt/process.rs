//! A process that plays programs: start it, hear which one it is at, and end it if it does not end itself.

use super::verdict::{Failure, Last, Outcome, judge};
use crate::child::Less;
use crate::plant::Plant;
use clap::ValueEnum;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How much longer a process is waited for than a program may take: it looks at the time itself.
const GRACE: Duration = Duration::from_secs(30);

/// Starts processes.
#[derive(Clone)]
pub(super) struct Runner {
    program: PathBuf,
    hang: Duration,
}

/// The words that leave out the same.
pub(super) fn words(less: &Less) -> Vec<String> {
    let mut words = Vec::new();
    let mut add = |name: &str, value: String| {
        if !value.is_empty() {
            words.extend([format!("--{name}"), value]);
        }
    };
    add("cut", less.cut.to_string());
    add("without", less.without.to_string());
    if let Some(only) = &less.only {
        add("only", only.to_string());
    }
    if less.plant != Plant::Nothing
        && let Some(plant) = less.plant.to_possible_value()
    {
        add("plant", plant.get_name().to_owned());
    }
    words
}

impl Runner {
    pub(super) fn new(program: PathBuf, hang: Duration) -> Self {
        Self { program, hang }
    }

    /// The same, but a program hangs earlier.
    pub(super) fn hasty(&self, hang: Duration) -> Self {
        Self { program: self.program.clone(), hang: hang.min(self.hang) }
    }

    /// Plays programs from `first` on until one does not pass. Returns the seed after the last that was begun.
    pub(super) fn run(&self, first: u64, count: u64, less: &Less) -> (u64, Outcome) {
        let mut cmd = Command::new(&self.program);
        cmd.arg("child")
            .args(["--first", &first.to_string(), "--count", &count.to_string()])
            .args(["--hang-seconds", &self.hang.as_secs().to_string()])
            .args(words(less))
            .env("RUST_MIN_STACK", (16 << 20).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match cmd.spawn() {
            Ok(child) => self.listen(first, child),
            Err(error) => (first + 1, Outcome::Failed(Failure::of_ours(&format!("cannot start: {error}")))),
        }
    }

    fn listen(&self, first: u64, mut child: Child) -> (u64, Outcome) {
        let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for")
        };
        let (sender, lines) = channel();
        let out = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut next = first;
        let mut last = Last::Ended;
        let killed = loop {
            match lines.recv_timeout(self.hang + GRACE) {
                Ok(line) => match line.split_once(' ') {
                    Some(("end", _)) => last = Last::Ended,
                    Some((begin, seed)) => {
                        last = if begin == "begin" { Last::Begun } else { Last::BegunForMemory };
                        next = seed.parse().unwrap_or(next) + 1;
                    }
                    None => {}
                },
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout) => break true,
            }
        };
        if killed {
            // It may have ended this very moment.
            let _ = child.kill();
        }
        let status = child.wait();
        let text = errors.join().unwrap_or_default();
        let _ = out.join();
        let outcome = match status {
            Ok(status) if !killed => judge(status, &text, last),
            Ok(_) => Outcome::Failed(Failure::of_ours("hang: had to be killed")),
            Err(error) => Outcome::Failed(Failure::of_ours(&format!("cannot be waited for: {error}"))),
        };
        (next.max(first + 1), outcome)
    }
}
