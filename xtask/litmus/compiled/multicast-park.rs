//! P4: a sender that goes to sleep (`Slot::park`) against the last acknowledgement: who wakes it sees what it prepared.
//! before: slot+64=2
//! never: P0=0
//! mutant many-acknowledge-acquire: aarch64-lse aarch64 riscv64
//! mutant many-park-release: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn multicast_park_p0(slot: &Slot, bell: &Data) -> u32 {
    match slot.acknowledge() {
        Some(_) => bell.get(),
        None => ELSE,
    }
}

#[unsafe(no_mangle)]
extern "C" fn multicast_park_p1(slot: &Slot, bell: &Data) {
    bell.put(1);
    let _ = slot.park();
}
