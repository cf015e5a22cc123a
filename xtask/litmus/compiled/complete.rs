//! P4: the completion of a waiting call (`State::complete`) against its caller's look (`State::is_done`).
//! before: word=1
//! never: P1=0
//! mutant state-complete-release: aarch64-lse aarch64 riscv64
//! mutant state-is-done-acquire: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn complete_p0(word: &State, result: &Data) -> u32 {
    result.put(1);
    u32::from(word.complete().is_parked())
}

#[unsafe(no_mangle)]
extern "C" fn complete_p1(word: &State, result: &Data) -> u32 {
    if word.is_done() { result.get() } else { ELSE }
}
