//! I8: what a CPU prepares before it goes idle (`Head::go_idle_after_take`), and comes online, is there for who rings it.
//! before: head=0
//! never: P1=0
//! mutant queue-push-acquire: aarch64-lse aarch64 riscv64
//! mutant queue-rest-release: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn ring_p0(head: &Head, bell: &Data) {
    bell.put(1);
    let _ = head.go_idle_after_take();
}

#[unsafe(no_mangle)]
extern "C" fn ring_p1(head: &Head, header: &Header, bell: &Data) -> u32 {
    // SAFETY: the header is nobody else's, and nothing ends here.
    let pushed = unsafe { head.push(header, header, false, head.look()) };
    if pushed == Pushed::Ring { bell.get() } else { ELSE }
}
