//! Counters that other processes may read while the machine runs: `smpcall top` does.
//!
//! A thread of its own waits at a Unix socket. Whoever connects is sent one line of JSON, what was counted up to then, and the
//! connection ends. The machine's CPUs have no part in that: their counters are read as they are.

use super::start::SignalsBlocked;
use super::{Machine, Shared};
use crate::affinity::unpin_this_thread;
use crate::trace::Counters;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smpcall::{Counts, CpuMask, Histogram, Platform};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// Which line is sent. The version goes up when a field changes its meaning or goes; a new field does not change it.
const SCHEMA: &str = "smpcall.counters/1";
/// After how long a reader that does not read is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(1);
/// Before the next look where nobody could be let in.
const REST: Duration = Duration::from_millis(10);

/// The counters of a machine as other processes may read them, until this is dropped: see [`Machine::publish`].
#[derive(Debug)]
pub struct Publisher {
    path: PathBuf,
    /// Which file that is: device and inode. Another that has its name by now is not ours.
    file: (u64, u64),
    /// Closed, it ends the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
    /// In the child of a fork there is no such thread.
    process: u32,
}

impl<const STAMPS: bool> Machine<Counters<STAMPS>> {
    /// Lets other processes read what the machine counts, by a Unix socket at `path`, until the answer is dropped. `smpcall top PATH` shows
    /// it: which function each CPU runs, what it has queued and left over, doorbells, and, of [`Latencies`](crate::Latencies), how long
    /// calls are queued and functions run.
    ///
    /// Whoever connects is sent one line of JSON (schema `smpcall.counters/1`). It has addresses of functions in it, so the socket is its
    /// owner's alone (mode 0600); for the moment until it is, put it into a folder that nobody else may enter. One that a program has
    /// left behind, at which nobody listens, is replaced.
    ///
    /// It takes a thread, which sleeps, and nothing of the machine's CPUs.
    ///
    /// ```
    /// use smpcall_host::{Latencies, Machine};
    /// use std::io::Read;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let machine = Machine::builder().owned(2).trace(Latencies::with_latencies()).build()?;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("counters");
    /// let published = machine.publish(&path)?;
    /// machine.call(1, || ())?;
    /// let mut line = String::new();
    /// UnixStream::connect(&path)?.read_to_string(&mut line)?;
    /// assert!(line.starts_with(r#"{"schema":"smpcall.counters/1","#));
    /// # drop(published);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The system's; [`ErrorKind::AddrInUse`] if somebody listens there, or if what is there is no socket.
    pub fn publish(&self, path: impl AsRef<Path>) -> io::Result<Publisher> {
        let path = std::path::absolute(path)?;
        let listener = listen(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let meta = fs::symlink_metadata(&path)?;
        let (stop, stopped) = UnixStream::pair()?;
        let machine = Arc::downgrade(&self.shared);
        let thread = {
            // Threads inherit the mask.
            let _blocked = SignalsBlocked::now();
            let thread = std::thread::Builder::new().name("smpcall-publish".to_owned());
            thread.spawn(move || serve(&listener, &stopped, &machine))
        };
        let file = (meta.dev(), meta.ino());
        let mut published =
            Publisher { path, file, stop: Some(stop), thread: None, process: std::process::id() };
        // If there is no thread, the socket goes with `published`.
        published.thread = Some(thread?);
        Ok(published)
    }
}

/// Listens at `path`, also where a program has left a socket behind.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_left_behind(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Whether it is a socket at which nobody listens.
fn is_left_behind(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Answers each connection, until the other end of `stopped` is closed, or the machine is no more.
fn serve<const STAMPS: bool>(
    listener: &UnixListener,
    stopped: &UnixStream,
    machine: &Weak<Shared<Counters<STAMPS>>>,
) {
    // The thread that publishes may be kept on a core, and this one is not to take time from it. An error: nothing is known of cores.
    let _ = unpin_this_thread();
    loop {
        let mut ready = [
            PollFd::new(listener.as_fd(), PollFlags::POLLIN),
            PollFd::new(stopped.as_fd(), PollFlags::POLLIN),
        ];
        // An error is a signal's: then nothing is ready.
        let _ = poll(&mut ready, PollTimeout::NONE);
        if ready[1].any() == Some(true) {
            return;
        }
        let Ok((reader, _)) = listener.accept() else {
            // Whoever connected has gone again, or there are no more descriptors just now.
            std::thread::sleep(REST);
            continue;
        };
        let Some(machine) = machine.upgrade() else { return };
        let line = line(&machine);
        drop(machine);
        // An error: the reader's. It sees a line without an end.
        let _ = send(reader, &line);
    }
}

fn send(mut reader: UnixStream, line: &str) -> io::Result<()> {
    reader.set_nonblocking(false)?;
    reader.set_write_timeout(Some(GIVE_UP_AFTER))?;
    reader.write_all(line.as_bytes())
}

/// What was counted up to now, as one line of JSON.
fn line<const STAMPS: bool>(machine: &Shared<Counters<STAMPS>>) -> String {
    let (smp, host) = (&machine.smp, machine.smp.platform());
    let program = std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let mut line = format!(
        r#"{{"schema":"{SCHEMA}","pid":{},"program":{},"at_ns":{},"stamps":{STAMPS},"cpus":["#,
        std::process::id(),
        quoted(&program),
        host.now_ns()
    );
    let mut words = vec![0; (smp.cpus_len() as usize).div_ceil(usize::BITS as usize)];
    let mask = CpuMask::from_words_mut(&mut words);
    for cpu in 0..smp.cpus_len() {
        if cpu > 0 {
            line.push(',');
        }
        mask.insert(cpu);
        let running = smp.running_racy(cpu).map_or("null".to_owned(), |func| func.to_string());
        let _ = write!(
            line,
            r#"{{"cpu":{cpu},"online":{},"pending":{},"left_over":{},"running":{running},"wakes":{},"counts":{}}}"#,
            smp.is_online_racy(cpu),
            smp.is_pending_racy(mask),
            smp.backlog_racy(cpu),
            // Relaxed: statistics.
            host.cpu(cpu).counts.wakes.load(Ordering::Relaxed),
            counted(&host.tracer().cpu(cpu).unwrap_or_default())
        );
        mask.remove(cpu);
    }
    let _ = writeln!(line, r#"],"others":{}}}"#, counted(&host.tracer().others()));
    line
}

fn counted(counts: &Counts) -> String {
    let Counts { queued, busy, refused, rings, unrung, saved, stalls, ran, batches, .. } = counts;
    format!(
        r#"{{"queued":{queued},"busy":{busy},"refused":{refused},"rings":{rings},"unrung":{unrung},"saved":{saved},"stalls":{stalls},"ran":{ran},"batches":{batches},"queued_ns":{},"ran_ns":{}}}"#,
        buckets(&counts.queued_ns),
        buckets(&counts.ran_ns)
    )
}

/// How many were below 2 ns, below 4, and so on, each without those before; what is 0 at the end is left out.
fn buckets(histogram: &Histogram) -> String {
    let counts = histogram.buckets();
    let len = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let counts: Vec<String> = counts[..len].iter().map(u64::to_string).collect();
    format!("[{}]", counts.join(","))
}

/// A text in JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter < ' ' => _ = write!(quoted, "\\u{:04x}", letter as u32),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

impl Publisher {
    /// Returns where the socket is.
    ///
    /// Example: [`Machine::publish`](crate::Machine::publish).
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // The child of a fork: thread and socket are its parent's.
            std::mem::forget(self.thread.take());
            return;
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does not panic, and waits for a reader for a second at most.
            let _ = thread.join();
        }
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.file);
        if is_ours {
            // An error: somebody was faster.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_and_buckets_end_with_the_last_that_counts() {
        assert_eq!(quoted("a \"b\" \\ \n"), r#""a \"b\" \\ \u000a""#);
        assert_eq!(buckets(&Histogram::default()), "[]");
    }
}
