//! P4, P11: the slot of a mailbox from hand to hand (`SlotLock::try_lock`, the drop of `SlotGuard`).
//! before: lock=1
//! never: P0=7 P1=1
//! mutant mailbox-lock-acquire: aarch64-lse aarch64 riscv64
//! mutant mailbox-lock-release: aarch64-lse aarch64 riscv64

#[unsafe(no_mangle)]
extern "C" fn mailbox_lock_p0(lock: &SlotLock, field: &Data) -> u32 {
    // SAFETY: a guard is nothing but this reference, and the lock is held from the start.
    let guard = unsafe { core::mem::transmute::<&SlotLock, SlotGuard<'_>>(lock) };
    let read = field.get();
    drop(guard);
    read
}

#[unsafe(no_mangle)]
extern "C" fn mailbox_lock_p1(lock: &SlotLock, field: &Data) -> u32 {
    match lock.try_lock() {
        Some(_guard) => {
            field.put(7);
            1
        }
        None => ELSE,
    }
}
