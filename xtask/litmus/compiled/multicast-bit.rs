//! P1, I11: a slot's bit (`Callers::set`) against a target that another sender has notified (`Callers::take`).
//! never: P1=0
//! mutant many-set-release: aarch64-lse aarch64 riscv64
//! mutant many-take-acquire: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn multicast_bit_p0(callers: &Callers, slot: &Data) {
    slot.put(1);
    callers.set(0);
}

#[unsafe(no_mangle)]
extern "C" fn multicast_bit_p1(callers: &Callers, slot: &Data, collected: &Collected) -> u32 {
    if callers.take(collected) != 0 { slot.get() } else { ELSE }
}
