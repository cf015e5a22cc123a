#!/usr/bin/env bash
# Believed: RISC-V's SBI: an interrupt, or a remote fence, for a mask of harts of which one has been stopped reaches the others, as it
#           did in every OpenSBI so far: who is stopped needs none.
# Version:  OpenSBI 1.6 and 1.9 (Debian 1.6-1, 1.9-1), QEMU 7.2.22, machine virt, 4 harts.
# Behaviour: 1.6 interrupts those that run, and answers success (0). 1.9 answers SBI_ERR_INVALID_PARAM (-3), and interrupts nobody; the
#            same for remote fences, and for a bit of a hart that is not there. A kernel that does not look at the answer, and whose
#            mask is older than a hart's stop, loses the interrupts of all the others. To all (base -1) is no error in either.
# Seen:     1.6: running: 0 got|with a stopped one: 0 got|with one that is not there: 0 got|all: 0 got|fence.i with a stopped one: 0|exit 0
#           1.9: running: 0 got|with a stopped one: -3 did not get|with one that is not there: -3 did not get|all: 0 got|fence.i with a stopped one: -3|exit 0
. "$(dirname "$0")/riscv.sh"
cat > "$folder/main.c" <<'C'
static volatile int ready, got;
void second(void) {
    ready = 1;
    for (;;) {
        u64 pending;
        asm volatile("csrr %0, sip" : "=r"(pending));
        if (pending & 2) {
            asm volatile("csrc sip, %0" ::"r"(2L));
            got = 1;
        }
    }
}
static void ipi(const char *what, u64 mask, u64 base) {
    got = 0;
    long error = sbi(0x735049, 0, mask, base, 0);
    /* A second, of this machine's time. */
    for (u64 start = now(); now() - start < 10000000 && !got;) {}
    put("> "), put(what), put(": "), num(error), put(got ? " got\n" : " did not get\n");
}
void first(u64 hart) {
    u64 running = (hart + 1) % 4, stopped = (hart + 2) % 4;
    sbi(0x48534d, 0, running, (u64)second_entry, 0);
    while (!ready) {}
    ipi("running", 1ul << running, 0);
    ipi("with a stopped one", 1ul << running | 1ul << stopped, 0);
    ipi("with one that is not there", 1ul << running | 1ul << 7, 0);
    ipi("all", 0, -1ul);
    put("> fence.i with a stopped one: "), num(sbi(0x52464e43, 0, 1ul << running | 1ul << stopped, 0, 0)), put("\n");
    finish(0x5555);
}
C
on_opensbi 1.6-1 dc4a43bd21a0ca11771ed8b19ee6fa8476d1d0f4976bd0b27c0357c699d27e1e
demand 1.6 "$seen" 'running: 0 got|with a stopped one: 0 got|with one that is not there: 0 got|all: 0 got|fence.i with a stopped one: 0|exit 0'
on_opensbi 1.9-1 e0b81b0dfc501b0b4ed1327aefdafa00f50651443e24d4d7e2477808808f386f
demand 1.9 "$seen" 'running: 0 got|with a stopped one: -3 did not get|with one that is not there: -3 did not get|all: 0 got|fence.i with a stopped one: -3|exit 0'
