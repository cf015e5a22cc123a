//! P4: a caller that goes to sleep (`State::park`) against the completion: it is woken, by one who sees what it prepared.
//! before: word=1
//! never: P0=0 P1=1
//! never: P0=9 P1=1
//! mutant state-complete-acquire: aarch64-lse aarch64 riscv64
//! mutant state-park-release: aarch64-lse aarch64 riscv64
//! mutant state-complete-store: aarch64-lse aarch64 riscv64 x86-64

#[unsafe(no_mangle)]
extern "C" fn park_p0(word: &State, bell: &Data) -> u32 {
    if word.complete().is_parked() { bell.get() } else { ELSE }
}

#[unsafe(no_mangle)]
extern "C" fn park_p1(word: &State, bell: &Data) -> u32 {
    bell.put(1);
    match word.park() {
        Park::Sleep => 1,
        Park::Done => ELSE,
    }
}
