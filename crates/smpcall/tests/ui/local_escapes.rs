//! A CPU's value stays in the function that reaches it.
use smpcall::{PerCpuCell, Platform, Smp, Storage};

fn escape<'a, P: Platform, S: Storage>(smp: &Smp<P, S>, cells: &'a [PerCpuCell<u32>]) -> &'a mut u32 {
    smp.with_local(cells, |value| value).unwrap()
}

fn main() {}
