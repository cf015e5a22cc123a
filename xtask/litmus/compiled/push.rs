//! P1: a push (`Head::push`) against the take of the list (`Head::take`).
//! before: head=1
//! never: P1=0
//! mutant queue-push-release: aarch64-lse aarch64 riscv64
//! mutant queue-take-acquire: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn push_p0(head: &Head, header: &Header, data: &Data) {
    data.put(1);
    // SAFETY: the header is nobody else's, and nothing ends here.
    let _ = unsafe { head.push(header, header, false, Seen::Idle) };
}

#[unsafe(no_mangle)]
extern "C" fn push_p1(head: &Head, data: &Data) -> u32 {
    match head.take(|_| ()) {
        Some(_) => data.get(),
        None => ELSE,
    }
}
