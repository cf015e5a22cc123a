#!/usr/bin/env bash
# Believed: a channel's receiver that waits with a time limit sleeps as one that waits without: `recv_timeout` costs no processor time.
# Version:  kanal 0.1.1, beside crossbeam-channel 0.5.15 and flume 0.12.0, by cargo from the registry.
# Behaviour: kanal's `recv` sleeps; its `recv_timeout` gives its core away and asks again until the time is over, however long: a thread that looks
#            every second whether it is to end keeps a core busy.
# Seen:     recv: sleeps in all three; recv_timeout: kanal busy, crossbeam sleeps, flume sleeps
. "$(dirname "$0")/common.sh"
probe 2021 'crossbeam-channel = "=0.5.15"
flume = "=0.12.0"
kanal = "=0.1.1"
libc = "0.2"'
cat > src/main.rs <<'RUST'
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);

fn spent() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Busy: a twentieth of the time at least, which it is also on a machine whose cores others use as well.
fn tell(name: &str, wait: impl FnOnce()) {
    let before = spent();
    wait();
    println!("{name} {}", if spent() - before > LIMIT / 20 { "busy" } else { "sleeps" });
}

macro_rules! late {
    ($channel:expr) => {{
        let (sender, receiver) = $channel;
        std::thread::spawn(move || { std::thread::sleep(LIMIT); sender.send(1).unwrap() });
        receiver
    }};
}

fn main() {
    tell("kanal", || { late!(kanal::bounded::<u32>(8)).recv().unwrap(); });
    tell("crossbeam", || { late!(crossbeam_channel::bounded::<u32>(8)).recv().unwrap(); });
    tell("flume", || { late!(flume::bounded::<u32>(8)).recv().unwrap(); });
    println!("--");
    let (_sender, receiver) = kanal::bounded::<u32>(8);
    tell("kanal", || assert!(receiver.recv_timeout(LIMIT).is_err()));
    let (_sender, receiver) = crossbeam_channel::bounded::<u32>(8);
    tell("crossbeam", || assert!(receiver.recv_timeout(LIMIT).is_err()));
    let (_sender, receiver) = flume::bounded::<u32>(8);
    tell("flume", || assert!(receiver.recv_timeout(LIMIT).is_err()));
}
RUST
cargo build --quiet --release
demand "recv|recv_timeout" "$("$folder/target/release/probe" | paste -sd '|')" \
    'kanal sleeps|crossbeam sleeps|flume sleeps|--|kanal busy|crossbeam sleeps|flume sleeps'
