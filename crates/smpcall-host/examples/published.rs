//! A machine that others can watch: its counters are on, and `smpcall top PATH` shows them while it works.
//!
//! `cargo run -p smpcall-host --example published -- PATH SECONDS`, and meanwhile `cargo run --release -- top PATH`

use smpcall_host::{Latencies, Machine};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().map_or_else(
        || std::env::temp_dir().join(format!("published-{}", std::process::id())),
        PathBuf::from,
    );
    let seconds = arguments.next().map_or(Ok(0.2), |seconds| seconds.parse())?;

    let machine = Machine::builder().owned(2).trace(Latencies::with_latencies()).build()?;
    let published = machine.publish(&path)?;
    let (since, mut sum) = (Instant::now(), 0_u64);
    while since.elapsed() < Duration::from_secs_f64(seconds) {
        // CPU 0 has some work at a time, and CPU 1 is called for every little thing.
        sum +=
            machine.call(0, || (0..20_000_u64).fold(0, |sum, number| std::hint::black_box(sum ^ number)))?;
        for number in 0..10 {
            sum += machine.call(1, move || number)?;
        }
    }
    println!("{sum}; and, as others are sent it:");

    let mut line = String::new();
    UnixStream::connect(published.path())?.read_to_string(&mut line)?;
    print!("{line}");
    assert!(line.starts_with('{') && line.ends_with("}\n"));
    drop(published);
    assert!(!path.exists(), "its socket goes with it");
    Ok(())
}
