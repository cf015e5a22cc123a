//! So is what memory a machine may have: it must be the machine's alone, and stay in place.
use smpcall::{PerCpu, Storage};

struct Mine(Vec<PerCpu>);

impl Storage for Mine {
    fn cpus(&self) -> &[PerCpu] {
        &self.0
    }
}

fn main() {}
