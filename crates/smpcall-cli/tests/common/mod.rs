//! What the tests of the command share: how it is started, and what came of it.

use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output};
use std::thread;
use std::time::{Duration, Instant};

/// A hang guard, and nothing else.
pub(crate) const AT_MOST: Duration = Duration::from_secs(120);

/// The command with these arguments.
pub(crate) fn smpcall(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smpcall"));
    command.args(arguments.split_whitespace());
    command
}

pub(crate) fn output(command: &mut Command) -> Output {
    command.output().expect("the command starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("the file was written")).expect("it is JSON")
}

/// Refused before anything is run, and the message names what is wrong.
#[track_caller]
pub(crate) fn assert_refused(arguments: &str, output: &Output, code: i32, named: &str) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {message}");
    assert!(message.starts_with("error: ") && message.contains(named), "{arguments}: {message}");
    assert!(output.stdout.is_empty(), "{arguments} ran all the same");
}

/// A child that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < AT_MOST, "it does not end");
            thread::sleep(Duration::from_millis(1));
        }
    }
}
