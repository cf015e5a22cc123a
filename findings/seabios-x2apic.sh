#!/usr/bin/env bash
# Believed: a PC's firmware hands over with the local APIC in xAPIC mode, and a kernel turns the x2APIC on if it wants that; at any rate
#           with one CPU, whose number is 0.
# Version:  SeaBIOS 1.16.2 (Debian 1.16.2-1), QEMU 7.2.22, q35, KVM with its split irqchip (QEMU 7.2 emulates no x2APIC).
# Behaviour: it is `maxcpus` that decides, not what is there: from 256 on, SeaBIOS hands over one CPU with its x2APIC on. A kernel that
#            writes the memory-mapped APIC then writes to nothing, and there is no way back but through "disabled".
# Seen:     255: fee00900 (xAPIC); 256: fee00d00 (x2APIC)
. "$(dirname "$0")/guest.sh"
[ -w /dev/kvm ] || { echo "this needs /dev/kvm"; exit 2; }
debian s/seabios/seabios_1.16.2-1_all.deb 08e5b3f761379f17a6051731cafa03e97686049e2cc1b8bdccc5a910646e2d8e
cat > "$folder/guest.c" <<'C'
/* Multiboot: magic, flags, checksum. */
__attribute__((section(".first"), used, aligned(4))) static const unsigned header[3] = {0x1badb002, 0, -0x1badb002};
static void put(char c) { asm volatile("outb %0, %1" ::"a"(c), "Nd"((unsigned short)0xe9)); }
char stack[4096];
asm(".text\n.globl _start\n_start: mov $stack + 4096, %esp\n jmp run\n");
void run(void) {
    unsigned low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x1b));
    for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[low >> shift & 15]);
    asm volatile("outb %0, %1" ::"a"((char)0), "Nd"((unsigned short)0x501));
    for (;;) asm volatile("hlt");
}
C
build x86-freestanding-none 0x100000 "-mno-sse -Wl,-e,_start"
for maxcpus in 255:fee00900 256:fee00d00; do
    seen=$(timeout 60 qemu-system-x86_64 -M q35,kernel-irqchip=split -accel kvm -cpu qemu64,+x2apic -m 64 -smp "1,maxcpus=${maxcpus%:*}" \
        -display none -debugcon stdio -device isa-debug-exit -bios "$folder/unpacked/usr/share/seabios/bios-256k.bin" \
        -kernel "$folder/guest.elf" < /dev/null 2> "$folder/errors") || true
    demand "maxcpus=${maxcpus%:*}: IA32_APIC_BASE" "$seen" "${maxcpus#*:}"
done
