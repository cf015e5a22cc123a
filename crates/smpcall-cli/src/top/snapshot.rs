//! What a program sends: one line of JSON, schema `smpcall.counters/1`, written by `Machine::publish`.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const SCHEMA: &str = "smpcall.counters/1";
/// A program that is stopped sends nothing.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// More than a machine of 8192 CPUs sends.
const LINE_MAX: u64 = 64 << 20;

/// What tells a line of ours.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// What was counted up to a moment.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Snapshot {
    pub(super) pid: u32,
    /// Its path; empty if it is not known.
    pub(super) program: String,
    /// On the machine's own clock.
    pub(super) at_ns: u64,
    /// Whether latencies are taken.
    pub(super) stamps: bool,
    pub(super) cpus: Vec<Cpu>,
    /// Of threads that are no CPU.
    pub(super) others: Counts,
}

/// A CPU just then.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Cpu {
    pub(super) cpu: u32,
    pub(super) online: bool,
    /// There are calls that it has not looked at.
    pub(super) pending: bool,
    /// How many its last flush left over.
    pub(super) left_over: u32,
    /// The address of the function that it runs.
    pub(super) running: Option<u64>,
    pub(super) wakes: u64,
    pub(super) counts: Counts,
}

/// As `smpcall::Counts`; of the histograms the buckets up to the last that counts.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Counts {
    pub(super) queued: u64,
    pub(super) busy: u64,
    pub(super) refused: u64,
    pub(super) rings: u64,
    pub(super) unrung: u64,
    pub(super) saved: u64,
    pub(super) stalls: u64,
    pub(super) ran: u64,
    pub(super) queued_ns: Vec<u64>,
    pub(super) ran_ns: Vec<u64>,
}

/// A line, and what it says.
pub(super) struct Read {
    pub(super) line: String,
    pub(super) snapshot: Snapshot,
}

impl Snapshot {
    /// Its file's name.
    pub(super) fn program_name(&self) -> &str {
        self.program.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("the program")
    }
}

/// Reads the first: nobody to read from is an error.
pub(super) fn first(path: &Path) -> Result<Read> {
    let shown = path.display();
    let meta = fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    ensure!(meta.file_type().is_socket(), "{shown} is no socket: a program makes one by `Machine::publish`");
    let line = match line(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            bail!("nobody listens at {shown}: the program that made it has ended")
        }
        line => line.with_context(|| format!("cannot read {shown}"))?,
    };
    ensure!(!line.is_empty(), "the machine that was published at {shown} has ended");
    understood(line).with_context(|| format!("cannot use what is sent at {shown}"))
}

/// Reads the next; `None` if that program publishes no more.
pub(super) fn next(path: &Path, pid: u32) -> Result<Option<Read>> {
    let line = match line(path) {
        Ok(line) if line.is_empty() => return Ok(None),
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
            return Ok(None);
        }
        line => line.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let read = understood(line).with_context(|| format!("cannot use what is sent at {}", path.display()))?;
    // Another's: the one whose machine we show has ended.
    Ok((read.snapshot.pid == pid).then_some(read))
}

fn line(path: &Path) -> io::Result<String> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(GIVE_UP_AFTER))?;
    let mut line = String::new();
    match stream.take(LINE_MAX).read_to_string(&mut line) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(io::Error::new(ErrorKind::TimedOut, "it sends nothing: its program may be stopped"))
        }
        Err(error) => Err(error),
        Ok(_) => Ok(line),
    }
}

fn understood(line: String) -> Result<Read> {
    let head: Head = serde_json::from_str(&line).context("it is not a line of counters")?;
    ensure!(
        head.schema == SCHEMA,
        "its schema is {:?}, and this command reads {SCHEMA:?}: take the command of the program's version of smpcall",
        head.schema
    );
    let snapshot = serde_json::from_str(&line).context("a field is not as its version says")?;
    Ok(Read { line, snapshot })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Two CPUs, the first of which has run so many calls, each queued for 100 to 127 ns.
    pub(in super::super) fn snapshot(at_ns: u64, ran: u64) -> Snapshot {
        let counts = format!(
            r#"{{"queued":1,"busy":0,"refused":0,"rings":2,"unrung":0,"saved":3,"stalls":0,"ran":{ran},"batches":1,
            "queued_ns":[0,0,0,0,0,0,{ran}],"ran_ns":[]}}"#
        );
        let cpu = |cpu: u32, running: &str| {
            format!(
                r#"{{"cpu":{cpu},"online":true,"pending":false,"left_over":0,"running":{running},"wakes":1,"counts":{counts}}}"#
            )
        };
        let line = format!(
            r#"{{"schema":"smpcall.counters/1","pid":7,"program":"/usr/bin/server","at_ns":{at_ns},"stamps":true,
            "cpus":[{},{}],"others":{counts}}}"#,
            cpu(0, "4096"),
            cpu(1, "null")
        );
        understood(line).unwrap().snapshot
    }

    #[test]
    fn a_line_of_another_kind_or_version_is_refused_and_named() {
        let why = |line: &str| format!("{:#}", understood(line.to_owned()).err().expect("it is refused"));
        assert!(why("HTTP/1.1 400").contains("not a line of counters"));
        assert!(why(r#"{"schema":"smpcall.counters/2"}"#).contains("schema is \"smpcall.counters/2\""));
        assert!(why(r#"{"schema":"smpcall.counters/1"}"#).contains("missing field"));
        let read = snapshot(5, 3);
        assert_eq!((read.program_name(), read.cpus.len(), read.cpus[0].counts.ran), ("server", 2, 3));
    }
}
