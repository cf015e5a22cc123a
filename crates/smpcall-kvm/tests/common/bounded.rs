//! What the tests share: a bound on each, and waiting for what others bring about.

use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Far more than any test takes: whoever waits that long waits for ever. `SMPCALL_TEST_BOUND` is for longer ones, in seconds.
fn bound() -> Duration {
    let asked = std::env::var("SMPCALL_TEST_BOUND").ok();
    Duration::from_secs(asked.map_or(300, |text| text.parse().expect("SMPCALL_TEST_BOUND is a number")))
}

/// Ends the process, and says which test it was, if it is not dropped in time.
pub(crate) struct Bounded {
    end: Option<mpsc::Sender<()>>,
    watch: Option<JoinHandle<()>>,
}

pub(crate) fn bounded() -> Bounded {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let (end, ended) = mpsc::channel();
    let watch = move || {
        if ended.recv_timeout(bound()) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{name} has not ended after {:?}", bound());
            std::process::abort();
        }
    };
    Bounded { end: Some(end), watch: Some(thread::spawn(watch)) }
}

impl Drop for Bounded {
    fn drop(&mut self) {
        self.end = None;
        if let Some(watch) = self.watch.take() {
            watch.join().expect("it only waits");
        }
    }
}

/// Waits until something has come about that somebody else brings about.
pub(crate) fn eventually(mut done: impl FnMut() -> bool) {
    for round in 0_u32.. {
        if done() {
            return;
        }
        if round < 100 { thread::yield_now() } else { thread::sleep(Duration::from_micros(100)) }
    }
}
