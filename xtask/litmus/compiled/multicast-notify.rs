//! P1: a notification (`Head::notify`) of a CPU that has a list already, against the take of it.
//! before: head=4
//! never: P0=1 P1=0 head=0
//! mutant many-notify-release: aarch64-lse aarch64 riscv64
//! mutant queue-take-acquire: aarch64-lse aarch64 riscv64
//! mutant queue-take-store: aarch64-lse aarch64 riscv64 x86-64
//! mutant many-notify-looks: aarch64-lse aarch64 riscv64 x86-64

#[unsafe(no_mangle)]
extern "C" fn multicast_notify_p0(head: &Head, bit: &Data) -> u32 {
    bit.put(1);
    match head.notify(head.look_word()) {
        Pushed::Seen => 1,
        _ => ELSE,
    }
}

#[unsafe(no_mangle)]
extern "C" fn multicast_notify_p1(head: &Head, bit: &Data) -> u32 {
    match head.take(|_| ()) {
        Some(_) => bit.get(),
        None => ELSE,
    }
}
