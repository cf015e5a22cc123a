#!/usr/bin/env bash
# Believed: herd7 refuses a litmus test whose condition asks for a register, or a location, that the test does not have; and a test that it
#           cannot read makes it fail.
# Version:  herdtools7 7.58 (Debian 7.58-2), run by the libraries of libc6 2.43-7 and libgmp10 6.3.0.
# Behaviour: what nobody assigns is 0, without a word: a misspelt `exists (1:r1=1)` is "Never", just what a test of a forbidden outcome
#            hopes for. A test that is refused leaves a warning on standard error and nothing else: the code is 0.
# Seen:     as it should be: Sometimes, code 0; a register misspelt: Never, code 0; a location misspelt: Never, code 0; a thread misspelt: code 0
. "$(dirname "$0")/herd.sh"

# judge CONDITION: the verdict, and the exit code
judge() {
    cat > "$folder/test.litmus" <<LITMUS
C test
{ x = 0; }
P0 (atomic_int* x) { atomic_store_explicit(x, 1, memory_order_relaxed); }
P1 (atomic_int* x) { int r0 = atomic_load_explicit(x, memory_order_relaxed); }
exists ($1)
LITMUS
    code=0
    herd "$folder/test.litmus" > "$folder/out" || code=$?
    sed -n 's/^Observation test \([A-Za-z]*\).*/\1,/p' "$folder/out"
    echo "code $code"
}
demand "as it should be" "$(judge 1:r0=1 | paste -sd ' ')" 'Sometimes, code 0'
demand "a register misspelt" "$(judge 1:r1=1 | paste -sd ' ')" 'Never, code 0'
demand "a location misspelt" "$(judge y=1 | paste -sd ' ')" 'Never, code 0'
demand "a thread misspelt" "$(judge 7:r0=1 | paste -sd ' ')" 'code 0'
