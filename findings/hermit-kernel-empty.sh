#!/usr/bin/env bash
# Believed: the registry's newest hermit-kernel is the unikernel's kernel, as its description, its documentation there and its older
#           versions say, and a program that depends on it builds.
# Version:  hermit-kernel 0.13.0, by cargo from the registry.
# Behaviour: the package is a README and one line that fails to compile: the crate is distributed by git only. That line is left out when the registry's
#            documentation is built, so the page there looks like any other's. Resolution, download and lock file succeed; only the compiler tells.
# Seen:     sources: src/lib.rs, 4 lines; resolves: yes; builds: no, "This crate is no longer distributed via crates.io"; as documentation: yes
. "$(dirname "$0")/common.sh"
probe 2024 'hermit-kernel = "=0.13.0"'
touch src/lib.rs
demand "resolves" "$(cargo generate-lockfile --quiet && echo yes)" yes
cargo vendor --quiet --locked "$folder/vendor" > /dev/null
demand "sources" "$(cd "$folder/vendor/hermit-kernel" && wc -l src/*.rs | sed 's/^ *//')" "4 src/lib.rs"
demand "builds" "$(cargo check --quiet --locked 2>&1 | grep -o 'This crate is no longer distributed via crates.io' | head -n 1)" \
    'This crate is no longer distributed via crates.io'
demand "as documentation" "$(RUSTFLAGS='--cfg docsrs' cargo check --quiet --locked 2> /dev/null && echo yes)" yes
