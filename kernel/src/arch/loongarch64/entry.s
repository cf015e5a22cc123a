# Every core enters here: $a1 = the command line for the boot core, and nothing that counts for another. Memory below .bss's end was
# cleared by the emulator. Addresses are physical ones until paging is on; from then on those whose first four bits are 0 still are, and
# cached (DMW0), and those of 8, uncached (DMW1).
.section .text.entry, "ax"
.globl _start
_start:
    ori     $t0, $zero, 0x11
    csrwr   $t0, 0x180              # DMW0: privileged, coherent, from 0 on
    ori     $t0, $zero, 1
    lu52i.d $t0, $t0, -2048
    csrwr   $t0, 0x181              # DMW1: privileged, uncached, from 8 << 60 on
    ori     $t0, $zero, 0xb0
    csrwr   $t0, 0x0                # CRMD: paging, interrupts off
    move    $tp, $zero              # no number yet
    la.pcrel $t0, {entered}
    ori     $t1, $zero, 1
    amswap_db.w $t2, $t1, $t0
    la.pcrel $sp, {stacks}
    li.w    $t0, {stack_bytes}
    add.d   $sp, $sp, $t0
    bnez    $t2, 1f
    move    $a0, $a1
    b       {boot}                  # the first, on the first stack
1:  la.pcrel $t1, {starting}        # any other is the one that is being started, and has the stack of its number
    ld.wu   $a0, $t1, 0
    mul.d   $t0, $t0, $a0
    add.d   $sp, $sp, $t0
    b       {boot_other}

# stop_here(flag): says that this core no longer uses its stack, and waits for an address in its first mailbox.
.globl stop_here
stop_here:
    li.w    $t1, 0x1020
    iocsrwr.d $zero, $t1            # no address yet
    li.w    $t1, 0x1004
    li.w    $t0, -1
    iocsrwr.w $t0, $t1              # any inter-processor interrupt ends the wait
    dbar    0
    ori     $t0, $zero, 1
    st.w    $t0, $a0, 0
2:  li.w    $t1, 0x100c
    li.w    $t0, -1
    iocsrwr.w $t0, $t1              # what came is no longer pending, and the mailbox is looked at after that
    li.w    $t1, 0x1020
    iocsrrd.d $t0, $t1
    bnez    $t0, 3f
    idle    0
    b       2b
3:  jr      $t0

# A trap, on the stack that was in use: what a call may change is saved, and the address to return to may be changed.
.balign 4096
.globl trap_entry
trap_entry:
    addi.d  $sp, $sp, -160
    st.d    $ra, $sp, 0
    st.d    $a0, $sp, 8
    st.d    $a1, $sp, 16
    st.d    $a2, $sp, 24
    st.d    $a3, $sp, 32
    st.d    $a4, $sp, 40
    st.d    $a5, $sp, 48
    st.d    $a6, $sp, 56
    st.d    $a7, $sp, 64
    st.d    $t0, $sp, 72
    st.d    $t1, $sp, 80
    st.d    $t2, $sp, 88
    st.d    $t3, $sp, 96
    st.d    $t4, $sp, 104
    st.d    $t5, $sp, 112
    st.d    $t6, $sp, 120
    st.d    $t7, $sp, 128
    st.d    $t8, $sp, 136
    csrrd   $t0, 0x1                # PRMD
    st.d    $t0, $sp, 144
    csrrd   $a0, 0x5                # ESTAT
    csrrd   $a1, 0x6                # ERA
    csrrd   $a2, 0x7                # BADV
    bl      {trap}
    csrwr   $a0, 0x6
    ld.d    $t0, $sp, 144
    csrwr   $t0, 0x1
    ld.d    $ra, $sp, 0
    ld.d    $a0, $sp, 8
    ld.d    $a1, $sp, 16
    ld.d    $a2, $sp, 24
    ld.d    $a3, $sp, 32
    ld.d    $a4, $sp, 40
    ld.d    $a5, $sp, 48
    ld.d    $a6, $sp, 56
    ld.d    $a7, $sp, 64
    ld.d    $t0, $sp, 72
    ld.d    $t1, $sp, 80
    ld.d    $t2, $sp, 88
    ld.d    $t3, $sp, 96
    ld.d    $t4, $sp, 104
    ld.d    $t5, $sp, 112
    ld.d    $t6, $sp, 120
    ld.d    $t7, $sp, 128
    ld.d    $t8, $sp, 136
    addi.d  $sp, $sp, 160
    ertn

# No translation is at hand: it is looked up in the tables, three levels of them, also where there is none.
.balign 4096
.globl refill_entry
refill_entry:
    csrwr   $t0, 0x8b               # TLBRSAVE
    csrrd   $t0, 0x1b               # PGD
    lddir   $t0, $t0, 2
    lddir   $t0, $t0, 1
    ldpte   $t0, 0
    ldpte   $t0, 1
    tlbfill
    csrrd   $t0, 0x8b
    ertn

# probe_read(address, value) -> whether it could be read. A fault at probe_load returns to probe_fault.
.balign 4
.globl probe_read
probe_read:
.globl probe_load
probe_load:
    ld.d    $t0, $a0, 0
    st.d    $t0, $a1, 0
    ori     $a0, $zero, 1
    jr      $ra
.globl probe_fault
probe_fault:
    move    $a0, $zero
    jr      $ra
