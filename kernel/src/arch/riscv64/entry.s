# Every hart enters here: a0 = hart id, a1 = the device tree for the boot hart, and nothing that counts for another. Memory
# below .bss's end was cleared by the emulator.
.section .text.entry, "ax"
.globl _start
_start:
    mv      tp, zero                # no number yet
    la      t0, {entered}
    li      t1, 1
    amoswap.w.aqrl t1, t1, (t0)
    la      sp, {stacks}
    li      t0, {stack_bytes}
    add     sp, sp, t0
    bnez    t1, another
    j       {boot}                  # the first of all boots, on the first stack
another:                            # any other is the one that is being started, and has the stack of its number
    la      t1, {starting}
    lw      a1, (t1)
    mul     t0, t0, a1
    add     sp, sp, t0
    j       {boot_other}

# A trap, on the stack that was in use: what a call may change is saved, and the address to return to may be changed.
.balign 4
.globl trap_entry
trap_entry:
    addi    sp, sp, -144
    sd      ra, 0(sp)
    sd      t0, 8(sp)
    sd      t1, 16(sp)
    sd      t2, 24(sp)
    sd      t3, 32(sp)
    sd      t4, 40(sp)
    sd      t5, 48(sp)
    sd      t6, 56(sp)
    sd      a0, 64(sp)
    sd      a1, 72(sp)
    sd      a2, 80(sp)
    sd      a3, 88(sp)
    sd      a4, 96(sp)
    sd      a5, 104(sp)
    sd      a6, 112(sp)
    sd      a7, 120(sp)
    csrr    t0, sstatus
    sd      t0, 128(sp)
    csrr    a0, scause
    csrr    a1, sepc
    csrr    a2, stval
    call    {trap}
    csrw    sepc, a0
    ld      t0, 128(sp)
    csrw    sstatus, t0
    ld      ra, 0(sp)
    ld      t0, 8(sp)
    ld      t1, 16(sp)
    ld      t2, 24(sp)
    ld      t3, 32(sp)
    ld      t4, 40(sp)
    ld      t5, 48(sp)
    ld      t6, 56(sp)
    ld      a0, 64(sp)
    ld      a1, 72(sp)
    ld      a2, 80(sp)
    ld      a3, 88(sp)
    ld      a4, 96(sp)
    ld      a5, 104(sp)
    ld      a6, 112(sp)
    ld      a7, 120(sp)
    addi    sp, sp, 144
    sret

# probe_read(address, value) -> whether it could be read. A fault at probe_load returns to probe_fault.
.globl probe_read
probe_read:
.globl probe_load
probe_load:
    ld      t0, 0(a0)
    sd      t0, 0(a1)
    li      a0, 1
    ret
.globl probe_fault
probe_fault:
    li      a0, 0
    ret
