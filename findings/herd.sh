# Sourced: herd7 of Debian's pool, by the libraries that it was built for.
. "$(dirname "$0")/common.sh"
debian h/herdtools7/herdtools7_7.58-2_amd64.deb 97a6e2bfbc2c516cd9816e8c87c3acc412953479a3351b308d139e0af9550672
debian g/glibc/libc6_2.43-7_amd64.deb 5c71715c51103beb4fbba9fe9f8dff604af6610dfa71c70bff342f54a7860803
debian g/gmp/libgmp10_6.3.0+dfsg-5+b2_amd64.deb 032743c787f0e1e644e4dcfbdb38f01be8cb150cb9633f8be5e79aba6938f349

# herd FILE: what it says of a litmus test, under the repaired C11
herd() {
    root=$folder/unpacked/usr
    "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" "$root/bin/herd7" \
        -set-libdir "$root/share/herdtools7/herd" -model rc11.cat "$1"
}
