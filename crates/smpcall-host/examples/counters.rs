//! Counters for each core, without a lock and without an atomic: each CPU adds to its own, and they are gathered by a call.
//!
//! `cargo run -p smpcall-host --example counters`

use smpcall_host::Machine;
use smpcall_host::smpcall::{PerCpuCell, To};
use std::sync::LazyLock;

const CPUS: usize = 3;
const HITS: u64 = 1_000;

static MACHINE: LazyLock<Machine> =
    LazyLock::new(|| Machine::builder().owned(CPUS).build().expect("threads"));
/// A CPU's own, on lines that no other CPU touches: reached by functions that run there.
static COUNTS: [PerCpuCell<u64>; CPUS] = [const { PerCpuCell::new(0) }; CPUS];

/// To be called in a function of the machine's: a plain addition.
fn count() {
    MACHINE.with_local(&COUNTS, |count| *count += 1).expect("in a function, on a CPU that has a cell");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cpus = MACHINE.cpus_len();
    for hit in 0..HITS {
        // Whatever a request does on its CPU; 0 is hit twice as often.
        MACHINE.call(hit as u32 % (cpus + 1) % cpus, count)?;
    }
    // One call of all, a result from each. No CPU is in another function of the machine's meanwhile: nothing is torn.
    let mut gathered = [None; CPUS];
    let read = |_| MACHINE.with_local(&COUNTS, std::mem::take);
    MACHINE.call_map(To::All, &mut gathered, read)?;
    let counts = gathered.into_iter().flatten().collect::<Result<Vec<u64>, _>>()?;
    assert_eq!(counts.iter().sum::<u64>(), HITS);
    println!("{counts:?}, by {} rings", MACHINE.counts().rings);
    Ok(())
}
