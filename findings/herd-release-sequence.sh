#!/usr/bin/env bash
# Believed: herd7's model of repaired C11 (rc11.cat) judges a Rust program's orderings as Rust does, whose atomics are those of C++20: a
#           Relaxed store ends the release sequence of its own thread's Release store before it, so that who reads it sees nothing.
# Version:  herdtools7 7.58 (Debian 7.58-2), run by the libraries of libc6 2.43-7 and libgmp10 6.3.0.
# Behaviour: the model has release sequences as C11 had them (and the paper of 2017): later stores of the same thread continue them,
#            Relaxed ones too. A reader of the second store synchronises with the first, and the race that C++20 has there is not found.
#            Where the first store is Relaxed as well, it is. So an ordering that looks superfluous there may be needed in Rust.
# Seen:     Release, then Relaxed: Never; Relaxed twice: *undef* Sometimes (a race, and the stale value)
. "$(dirname "$0")/herd.sh"

# judge ORDER: the verdict on a first store of that order
judge() {
    cat > "$folder/test.litmus" <<LITMUS
C test
{ flag = 0; x = 0; }
P0 (int* x, atomic_int* flag) {
  *x = 1;
  atomic_store_explicit(flag, 1, memory_order_$1);
  atomic_store_explicit(flag, 2, memory_order_relaxed);
}
P1 (int* x, atomic_int* flag) {
  int seen = atomic_load_explicit(flag, memory_order_acquire);
  int read = 1;
  if (seen == 2) { read = *x; }
}
exists (1:read=0)
LITMUS
    herd "$folder/test.litmus" |
        sed -n 's/^Observation test \([A-Za-z]*\).*/\1/p; s/^Flag //p' | sort | paste -sd ' '
}
demand "Release, then Relaxed" "$(judge release)" 'Never'
demand "Relaxed twice" "$(judge relaxed)" '*undef* Sometimes'
