//! P4: the end of a run (`Running::end`) against one who waits for it (`Running::ended`).
//! never: P1=0
//! mutant running-ended-release: aarch64-lse aarch64 riscv64
//! mutant running-ended-acquire: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn run_ended_p0(running: &Running, data: &Data) {
    data.put(1);
    running.end();
}

#[unsafe(no_mangle)]
extern "C" fn run_ended_p1(running: &Running, data: &Data) -> u32 {
    if running.ended() == 1 { data.get() } else { ELSE }
}
