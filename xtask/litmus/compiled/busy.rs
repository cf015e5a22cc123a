//! P2, I1: a post that is told Busy (`State::rely`) against the unlock before the run (`State::unlock`).
//! before: word=257
//! never: P0=1 P1=0
//! mutant state-lost-release: aarch64-lse aarch64 riscv64
//! mutant state-unlock-acquire: aarch64-lse aarch64 riscv64
//! mutant state-unlock-store: aarch64-lse aarch64 riscv64 x86-64
//! mutant state-lost-load: aarch64-lse aarch64 riscv64 x86-64

#[unsafe(no_mangle)]
extern "C" fn busy_p0(word: &State, data: &Data) -> u32 {
    data.put(1);
    u32::from(word.rely(0, Urgency::Now).is_some())
}

#[unsafe(no_mangle)]
extern "C" fn busy_p1(word: &State, data: &Data) -> u32 {
    let _ = word.unlock(0);
    data.get()
}
