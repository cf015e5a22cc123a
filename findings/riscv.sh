# Sourced: a guest in RISC-V's supervisor mode on four harts of QEMU's machine `virt`, with a firmware of Debian's pool.
. "$(dirname "$0")/guest.sh"

# on_opensbi VERSION SHA256: runs "$folder/main.c", which defines first(hart), and second() for a hart that it starts
on_opensbi() {
    rm -rf "$folder/unpacked/usr"
    debian "o/opensbi/opensbi_$1_all.deb" "$2"
    cat - "$folder/main.c" > "$folder/guest.c" <<'C'
typedef unsigned long u64;
static long sbi(u64 extension, u64 function, u64 x0, u64 x1, u64 x2) {
    register u64 a0 asm("a0") = x0, a1 asm("a1") = x1, a2 asm("a2") = x2, a6 asm("a6") = function, a7 asm("a7") = extension;
    asm volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a6), "r"(a7) : "memory");
    return (long)a0;
}
static u64 now(void) { u64 t; asm volatile("rdtime %0" : "=r"(t)); return t; }
static void put(const char *s) { while (*s) *(volatile char *)0x10000000 = *s++; }
static void num(long n) {
    char digits[24];
    int at = 23, negative = n < 0;
    digits[at] = 0;
    if (negative) n = -n;
    do digits[--at] = '0' + n % 10; while (n /= 10);
    if (negative) digits[--at] = '-';
    put(digits + at);
}
/* QEMU's own device for the end, past the firmware. */
static void finish(unsigned word) { *(volatile unsigned *)0x100000 = word; for (;;); }
void first(u64 hart);
extern char second_entry[];
void second(void);
char stacks[2][4096] __attribute__((aligned(16)));
asm(".section .first, \"ax\"\n.globl _start\n_start: la sp, stacks + 4096\n j first\n"
    ".globl second_entry\nsecond_entry: la sp, stacks + 8192\n j second\n.text\n");
C
    build riscv64-freestanding-none 0x80200000 -mcmodel=medium
    # The firmware speaks before the guest does; the guest's lines begin with a sign of their own.
    seen=$(timeout 60 qemu-system-riscv64 -machine virt -smp 4 -m 128M -nographic -bios \
        "$folder/unpacked/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin" -kernel "$folder/guest.elf" < /dev/null \
        > "$folder/out" && echo "exit 0" || echo "exit $?")
    seen="$(grep -a '^> ' "$folder/out" | tr -d '\r' | sed 's/^> //' | paste -sd '|')|$seen"
}
