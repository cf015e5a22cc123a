#!/usr/bin/env bash
# Believed: a verifier that spin generated (`pan`) tells a search that it did not finish from a proof: by its exit code, by its count of
#           errors, or at least by the warning "Search not completed" that it prints when it stops at an error.
# Version:  spin 6.5.2 (Debian 6.5.2+dfsg-1); the verifier is built by the C compiler of PyPI's ziglang 0.13.0 (clang 18).
# Behaviour: it ends with 0 in every case. Where its depth (-m, 10,000 steps if nothing is said) is too small, it counts "errors: 0" and
#            does NOT print that warning, though whole branches were cut off; only one line, "max search depth too small", says so. Where
#            it finds an error it does print the warning. So who asks for "errors: 0" without the warning passes a model that is broken.
# Seen:     whole: errors: 1|not completed|code 0; cut off at 50 steps: errors: 0|too small|code 0
. "$(dirname "$0")/common.sh"
wheel ziglang==0.13.0
debian s/spin/spin_6.5.2+dfsg-1_amd64.deb 55452ba139bae09a165363fdee18fe496913b4ae441d122280fbcbb48556502f
zig=$folder/unpacked/ziglang/zig
chmod +x "$zig"
export ZIG_GLOBAL_CACHE_DIR=$folder/cache
cd "$folder"
cat > model.pml <<'PROMELA'
byte count;
active proctype Counts() {
    do
    :: count < 200 -> count++
    :: count == 150 -> assert(false)
    :: count == 200 -> break
    od
}
PROMELA
"$folder/unpacked/usr/bin/spin" "-P$zig cc -E -x c" -a model.pml
"$zig" cc -w -O1 -o pan pan.c

# verdict FLAGS: what the verifier says of its search
verdict() {
    code=0
    ./pan $1 > out || code=$?
    grep -o 'errors: [0-9]*' out
    grep -o 'not completed' out || true
    grep -o 'too small' out || true
    echo "code $code"
}
demand "whole" "$(verdict '' | paste -sd '|')" 'errors: 1|not completed|code 0'
demand "cut off at 50 steps" "$(verdict -m50 | paste -sd '|')" 'errors: 0|too small|code 0'
