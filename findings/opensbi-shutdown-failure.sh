#!/usr/bin/env bash
# Believed: a RISC-V guest that shuts down by SBI with the reason "system failure" ends QEMU with a code that is not 0: the firmware writes
#           "fail" to QEMU's test device, whose codes become the process's.
# Version:  OpenSBI 1.6 and 1.9 (Debian 1.6-1, 1.9-1), QEMU 7.2.22, machine virt.
# Behaviour: the firmware writes "fail" without a code, which is code 0: QEMU ends with 0, and a test runner takes a panic for success.
#            Only the device itself, written past the firmware, can say it (code 3 here).
# Seen:     both: about to fail|exit 0; and by the device: about to fail|exit 3
. "$(dirname "$0")/riscv.sh"
for version in "1.6-1 dc4a43bd21a0ca11771ed8b19ee6fa8476d1d0f4976bd0b27c0357c699d27e1e" \
    "1.9-1 e0b81b0dfc501b0b4ed1327aefdafa00f50651443e24d4d7e2477808808f386f"; do
    # System reset: shutdown (0), system failure (1).
    echo 'void second(void) {} void first(u64 hart) { put("> about to fail\n"), sbi(0x53525354, 0, 0, 1, 0); finish(7 << 16 | 0x3333); }' > "$folder/main.c"
    on_opensbi $version
    demand "${version%% *} by SBI" "$seen" 'about to fail|exit 0'
    echo 'void second(void) {} void first(u64 hart) { put("> about to fail\n"); finish(3 << 16 | 0x3333); }' > "$folder/main.c"
    on_opensbi $version
    demand "${version%% *} by the device" "$seen" 'about to fail|exit 3'
done
