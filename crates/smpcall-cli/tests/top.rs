//! `smpcall top` as its user meets it: beside a machine of this process, on a terminal and elsewhere.

#[allow(dead_code, reason = "each test needs a part")]
mod common;

use common::{AT_MOST, Running, output, smpcall, text};
use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use serde_json::Value;
use smpcall_host::{Latencies, Machine, Publisher};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// A machine that has run some calls, and is published.
struct Published {
    // Dropped first.
    published: Publisher,
    machine: Machine<Latencies>,
    folder: tempfile::TempDir,
}

impl Published {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine::builder().owned(2).trace(Latencies::with_latencies()).build().unwrap();
        let published = machine.publish(folder.path().join("counters")).unwrap();
        for _ in 0..7 {
            machine.call(1, || ()).unwrap();
        }
        // The target may be off its core between its answer and the last of its counts.
        let since = Instant::now();
        while machine.tracer().total().ran < 7 {
            assert!(since.elapsed() < AT_MOST);
            thread::yield_now();
        }
        Self { published, machine, folder }
    }

    fn path(&self) -> PathBuf {
        self.published.path().to_owned()
    }
}

fn top(path: &Path, arguments: &str) -> Command {
    let mut command = smpcall("top");
    command.arg(path).args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

#[test]
fn once_is_a_table_of_all_since_the_start() {
    let published = Published::new();
    let ended = output(&mut top(&published.path(), "--once"));
    let stdout = text(&ended.stdout);
    assert!(ended.status.success() && ended.stderr.is_empty(), "{stdout}{}", text(&ended.stderr));
    assert!(stdout.contains(&format!("process {}: 2 of 2 CPUs online", std::process::id())), "{stdout}");
    assert!(stdout.contains("\n7 calls run, 0 under way, 0 refused, 0 stall reports\n"), "{stdout}");
    let starts = |word: &str| stdout.lines().any(|line| line.split_whitespace().next() == Some(word));
    assert!(["0", "1", "others"].into_iter().all(starts), "{stdout}");
    assert!(!stdout.contains('\x1b'), "{stdout}");
}

#[test]
fn json_is_the_line_that_the_program_sends() {
    let published = Published::new();
    let ended = output(&mut top(&published.path(), "--once --json"));
    let line: Value = serde_json::from_slice(&ended.stdout).expect("one line");
    assert_eq!(line["schema"], "smpcall.counters/1");
    assert_eq!(line["cpus"][1]["counts"]["ran"], 7);
    assert_eq!(line["others"]["queued"], 7);
    let queued: u64 = line["cpus"][1]["counts"]["queued_ns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(queued, 7, "each has a latency");
}

/// Without a terminal, tables one after the other, until the program ends.
#[test]
fn a_program_that_ends_is_said_to_have_ended() {
    let published = Published::new();
    let path = published.path();
    let mut command = top(&path, "--interval 0.05");
    let mut running = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The first is of all since the start, the next of what came in between.
    assert!(lines.by_ref().any(|line| line.contains("since its start")));
    assert!(lines.by_ref().any(|line| line.contains("rates over the last 0.")));
    drop(published);
    assert!(lines.by_ref().any(|line| line.ends_with("has ended, or publishes no more.")));
    assert_eq!(lines.next(), None);
    assert!(running.wait().success());
}

#[test]
fn what_is_no_published_machine_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counters");
    let refused = |named: &str| {
        let ended = output(&mut top(&path, "--once"));
        let message = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{message}");
        assert!(
            message.starts_with("error: ") && message.contains(named) && ended.stdout.is_empty(),
            "{message}"
        );
    };
    refused("cannot read");
    fs::write(&path, "no socket").unwrap();
    refused("is no socket");
    fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let answer = |line: &'static str| {
        let listener = listener.try_clone().unwrap();
        thread::spawn(move || listener.accept().unwrap().0.write_all(line.as_bytes()).unwrap())
    };
    for (line, named) in [
        ("", "has ended"),
        ("SSH-2.0\n", "not a line of counters"),
        (r#"{"schema":"smpcall.counters/2"}"#, "smpcall.counters/2"),
        (r#"{"schema":"smpcall.counters/1"}"#, "a field is not as its version says"),
    ] {
        let answered = answer(line);
        refused(named);
        answered.join().unwrap();
    }
    drop(listener);
    refused("nobody listens");
}

/// Starts it on a terminal of its own; what it draws can be read of the second.
fn on_a_terminal(path: &Path, term: &str) -> (Running, File, File) {
    let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    let slave = File::from(terminal.slave);
    let mut command = top(path, "--interval 0.05");
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).env("TERM", term);
    (Running(command.spawn().unwrap()), File::from(terminal.master), slave)
}

/// Reads until that has been drawn; what was read.
fn until(terminal: &mut File, wanted: &str) -> String {
    let (mut seen, mut bytes) = (String::new(), [0; 4096]);
    while !seen.contains(wanted) {
        let mut ready = [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)];
        let millis = u16::try_from(AT_MOST.as_millis() / 2).unwrap();
        assert_eq!(poll(&mut ready, millis).unwrap(), 1, "no {wanted:?} in {seen:?}");
        let len =
            terminal.read(&mut bytes).unwrap_or_else(|error| panic!("no {wanted:?} in {seen:?}: {error}"));
        seen.push_str(&text(&bytes[..len]));
    }
    seen
}

#[test]
fn a_terminal_is_as_it_was_after_a_key_a_signal_and_the_programs_end() {
    let published = Published::new();
    let path = published.path();
    let cooked = LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG;
    let mut published = Some(published);
    for end in ["q", "\x03", "a signal", "its end"] {
        let (mut running, mut terminal, slave) = on_a_terminal(&path, "xterm");
        let seen = until(&mut terminal, "rates over the last 0.");
        assert!(seen.contains("\x1b[?1049h") && seen.contains("doorbells/s"), "{seen:?}");
        assert!(!tcgetattr(&slave).unwrap().local_flags.intersects(cooked), "keys come one by one");
        match end {
            "a signal" => {
                let pid = nix::unistd::Pid::from_raw(running.0.id() as i32);
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            }
            "its end" => drop(published.take()),
            key => terminal.write_all(key.as_bytes()).unwrap(),
        }
        let last = if end == "its end" { "has ended, or publishes no more." } else { "\x1b[?1049l" };
        let seen = until(&mut terminal, last);
        assert!(seen.contains("\x1b[?25h\x1b[?1049l"), "the cursor and the other screen are back: {seen:?}");
        assert!(running.wait().success());
        assert!(tcgetattr(&slave).unwrap().local_flags.contains(cooked), "{end}");
    }
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_is_printed_to() {
    let published = Published::new();
    let (mut running, mut terminal, _slave) = on_a_terminal(&published.path(), "dumb");
    let seen = until(&mut terminal, "rates over the last 0.");
    assert!(!seen.contains('\x1b'), "{seen:?}");
    assert!(published.machine.call(0, || true).unwrap() && published.folder.path().exists());
    drop(published);
    until(&mut terminal, "has ended");
    assert!(running.wait().success());
}
