//! P7: a flush that leaves (`Head::go_idle_after_take`) against a push: whoever comes second sees the other.
//! before: head=0
//! never: P0=1 P1=1
//! mutant queue-rest-store: aarch64-lse aarch64 riscv64 x86-64

#[unsafe(no_mangle)]
extern "C" fn go_idle_p0(head: &Head) -> u32 {
    u32::from(head.go_idle_after_take() == GoIdle::Idle)
}

#[unsafe(no_mangle)]
extern "C" fn go_idle_p1(head: &Head, header: &Header) -> u32 {
    // SAFETY: the header is nobody else's, and nothing ends here.
    let pushed = unsafe { head.push(header, header, false, Seen::Polling) };
    u32::from(pushed == Pushed::Seen)
}
