//! P4: the last acknowledgement (`Slot::acknowledge`) against the sender that waits for it (`Slot::is_acknowledged`).
//! before: slot+64=2
//! never: P1=0
//! mutant many-acknowledge-release: aarch64-lse aarch64 riscv64
//! mutant many-is-acknowledged-acquire: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn multicast_ack_p0(slot: &Slot, data: &Data) {
    data.put(1);
    let _ = slot.acknowledge();
}

#[unsafe(no_mangle)]
extern "C" fn multicast_ack_p1(slot: &Slot, data: &Data) -> u32 {
    if slot.is_acknowledged() { data.get() } else { ELSE }
}
