//! P8: a push against the close of a CPU that goes offline (`Head::close`).
//! before: head=1
//! never: P1=0
//! mutant queue-close-acquire: aarch64-lse aarch64 riscv64
//! mutant queue-push-release: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn close_p0(head: &Head, header: &Header, data: &Data) {
    data.put(1);
    // SAFETY: the header is nobody else's, and nothing ends here.
    let _ = unsafe { head.push(header, header, false, Seen::Idle) };
}

#[unsafe(no_mangle)]
extern "C" fn close_p1(head: &Head, data: &Data) -> u32 {
    if head.close().newest().is_null() { ELSE } else { data.get() }
}
