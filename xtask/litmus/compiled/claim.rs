//! P11, I2: a claim that is won (`State::claim`) against the unlock before (`State::unlock`).
//! before: word=257
//! never: P0=7 P1=1
//! mutant state-claim-acquire: aarch64-lse aarch64 riscv64
//! mutant state-unlock-release: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn claim_p0(word: &State, field: &Data) -> u32 {
    let read = field.get();
    let _ = word.unlock(0);
    read
}

#[unsafe(no_mangle)]
extern "C" fn claim_p1(word: &State, field: &Data) -> u32 {
    match word.claim(0, Urgency::Now) {
        Claim::Won => {
            field.put(7);
            1
        }
        _ => ELSE,
    }
}
