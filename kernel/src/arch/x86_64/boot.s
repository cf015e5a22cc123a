# From power-on to Rust, for both kinds of CPUs. Both go to 64-bit mode with the same tables, in one step.

.set CODE, 0x08
.set DATA, 0x10
.set CR4_PAE, 1 << 5
.set EFER, 0xc0000080
.set EFER_LME, 1 << 8
.set CR0_PG_WP_ET_PE, 1 << 31 | 1 << 16 | 1 << 4 | 1

# The note by which the emulator finds the entry: XEN_ELFNOTE_PHYS32_ENTRY.
.section .note.Xen, "a", @note
.balign 4
.long 4, 8, 18
.asciz "Xen"
.quad pvh_start

.macro to_long_mode
    movl    $CR4_PAE, %eax
    movl    %eax, %cr4
    movl    $table_root, %eax
    movl    %eax, %cr3
    movl    $EFER, %ecx
    rdmsr
    orl     $EFER_LME, %eax
    wrmsr
    movl    $CR0_PG_WP_ET_PE, %eax  # caches on, too: an INIT leaves them off
    movl    %eax, %cr0
.endm

.macro load_segments
    movl    $DATA, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    xorl    %eax, %eax
    movl    %eax, %fs
    movl    %eax, %gs
.endm

# The boot CPU: 32-bit mode, no paging, ebx = hvm_start_info. Memory up to .bss's end was cleared by the emulator.
.text
.code32
.globl pvh_start
pvh_start:
    cld
    lgdt    gdt_pointer
    movl    %ebx, %edi
    to_long_mode
    ljmpl   $CODE, $boot_long
.code64
boot_long:
    load_segments
    movl    %edi, %edi              # clears the upper half
    leaq    {stacks} + {stack_bytes}, %rsp
    call    {boot}
    ud2

# Every other CPU: real mode, cs:ip = the page that this was copied to, and 0.
.section .rodata.trampoline, "a"
.code16
.globl trampoline
trampoline:
    cli
    cld
    movw    %cs, %ax
    movw    %ax, %ds
    lgdtl   trampoline_gdt_pointer - trampoline
    to_long_mode
    ljmpl   $CODE, $other_long
trampoline_gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt
.globl trampoline_end
trampoline_end:

.text
.code64
other_long:
    load_segments
    # Takes its number, plus one. With 0 nobody has asked for this CPU.
    xorl    %edi, %edi
    xchgl   %edi, {next}(%rip)
    testl   %edi, %edi
    jz      halt
    imull   ${stack_bytes}, %edi, %eax
    leaq    {stacks}(%rax), %rsp
    decl    %edi
    call    {boot_other}
    ud2

# halt_for_good(flag): interrupts are off; the write is the last that this CPU does, and the stack is not used after it.
.globl halt_for_good
halt_for_good:
    movl    $1, (%rdi)
halt:
    hlt
    jmp     halt

.section .rodata.gdt, "a"
.balign 8
gdt:
    .quad   0
    .quad   0x00af9b000000ffff      # 64-bit code
    .quad   0x00cf93000000ffff      # data
gdt_end:
gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt

# Four gigabytes, one to one, in pages of 2 MiB; the page with the local APIC uncached. And one page more: see page.rs.
.set PRESENT_WRITE, 0x03
.set BIG, 0x80
.set UNCACHED, 0x18
.section .data.tables, "aw", @progbits
.balign 4096
table_root:
    .quad   table_512g + PRESENT_WRITE
    .fill   511, 8, 0
table_512g:
    .quad   table_1g + PRESENT_WRITE
    .quad   table_1g + 0x1000 + PRESENT_WRITE
    .quad   table_1g + 0x2000 + PRESENT_WRITE
    .quad   table_1g + 0x3000 + PRESENT_WRITE
    .fill   {window_gigabyte} - 4, 8, 0
    .quad   table_window + PRESENT_WRITE
    .fill   511 - {window_gigabyte}, 8, 0
table_1g:
.set at, 0
.rept 2048
    .if at == 0xfee00000
    .quad   at + PRESENT_WRITE + BIG + UNCACHED
    .else
    .quad   at + PRESENT_WRITE + BIG
    .endif
    .set at, at + 0x200000
.endr
table_window:
    .quad   {window} + PRESENT_WRITE
    .fill   511, 8, 0
.text
