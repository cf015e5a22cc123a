# An entry for each vector, 16 bytes apart. The processor aligns the stack and pushes ss, rsp, rflags, cs, rip; for some
# exceptions an error code too, for the others one is pushed here.
.text
.balign 16
.globl vector_entries
vector_entries:
.set vector, 0
.rept 256
    .balign 16
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
    pushq   $0
    .endif
    pushq   $vector
    jmp     vector_common
    .set vector, vector + 1
.endr

# What a call may change is saved; `trap` gets the whole of it, and may change the address to return to.
vector_common:
    pushq   %rax
    pushq   %rcx
    pushq   %rdx
    pushq   %rsi
    pushq   %rdi
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    cld                             # memmove may have been interrupted, which sets it
    movq    %rsp, %rdi
    call    {trap}
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rdi
    popq    %rsi
    popq    %rdx
    popq    %rcx
    popq    %rax
    addq    $16, %rsp               # the vector, and the error code
    iretq

# probe_read(address, value) -> whether it could be read. A fault at probe_load returns to probe_fault.
.globl probe_read
probe_read:
.globl probe_load
probe_load:
    movq    (%rdi), %rax
    movq    %rax, (%rsi)
    movl    $1, %eax
    retq
.globl probe_fault
probe_fault:
    xorl    %eax, %eax
    retq
