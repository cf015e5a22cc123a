//! A TLB shootdown on the smallest port (`toy/mod.rs`): CPUs keep translations, and whoever changes one waits until none has the old one.
//!
//! `cargo run -p smpcall --example shootdown`; with page tables, in QEMU: `cargo xtask boot --arch riscv64 --what checks`

mod toy;

use smpcall::{CpuSet, ManyError, PerCpuCell, Reached, To};
use std::sync::atomic::{AtomicU64, Ordering};
use toy::{CPUS, SMP};

/// The page table: one page.
static TABLE: AtomicU64 = AtomicU64::new(0x1000);
/// Each CPU's TLB: one entry, reached by that CPU only.
static TLBS: [PerCpuCell<Option<u64>>; CPUS] = [const { PerCpuCell::new(None) }; CPUS];

/// An access to the page, on the CPU that runs this: by its TLB, which walks the table if it has no entry.
fn translate() -> u64 {
    let walk = |tlb: &mut Option<u64>| *tlb.get_or_insert_with(|| TABLE.load(Ordering::Relaxed));
    SMP.with_local(&TLBS, walk).expect("in call context")
}

/// Returns when no CPU has the old translation.
fn remap(users: &CpuSet<1>, frame: u64) -> Result<Reached, ManyError> {
    // Relaxed: the call publishes it (P4).
    TABLE.store(frame, Ordering::Relaxed);
    SMP.call_many(To::Mask(users), || {
        SMP.with_local(&TLBS, |tlb| *tlb = None).expect("in call context");
    })
}

fn main() {
    toy::boot(|| {
        // CPU 2 does not use the address space, and is left alone.
        let mut users = CpuSet::<1>::new();
        users.insert(0);
        users.insert(1);
        for frame in (0x2000..0x40_2000).step_by(0x1000) {
            let before = SMP.call(0, translate).expect("it is online");
            assert_eq!(before, frame - 0x1000);
            remap(&users, frame).expect("a thread may wait");
            for cpu in users.iter() {
                assert_eq!(SMP.call(cpu, translate), Ok(frame), "CPU {cpu} has the old translation");
            }
        }
        println!("1,024 shootdowns, and no CPU had an old translation");
    });
}
