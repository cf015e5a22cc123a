//! P11: a CPU's cell, which two CPUs reach for by slices that begin elsewhere.

use crate::port::model;
use smpcall::{LocalError, PerCpuCell};

/// P11: who finds a cell given back has all that was written to it; who finds it in use is refused. Bounds: two CPUs, once each.
#[test]
fn a_cell_is_one_ones_at_a_time() {
    model(|m| {
        let cells = m.keep([0, 0].map(PerCpuCell::new));
        let enter = move |cpu: u32, from: usize| {
            let local = move || m.with_local(&cells[from..], |value: &mut u32| core::mem::replace(value, 1));
            m.on(cpu, || m.call(cpu, local)).unwrap()
        };
        // CPU 1's of all cells is CPU 0's of those from the second on.
        let other = m.thread(None, move || enter(1, 0));
        let ours = enter(0, 1);
        match (ours, other.join().unwrap()) {
            (Ok(0), Ok(1) | Err(LocalError::InUse)) | (Ok(1) | Err(LocalError::InUse), Ok(0)) => {}
            both => panic!("{both:?}"),
        }
    });
}
