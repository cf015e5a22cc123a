# Sourced: a guest of one C file, built by the C compiler of PyPI's ziglang 0.13.0 (clang 18), which has every target.
. "$(dirname "$0")/common.sh"
wheel ziglang==0.13.0
chmod +x "$folder/unpacked/ziglang/zig"

# build TARGET ADDRESS FLAGS: "$folder/guest.c" becomes "$folder/guest.elf"; what is in .first comes first
build() {
    cat > "$folder/guest.ld" <<LD
SECTIONS { . = $2; .all : { KEEP(*(.first)) *(.text*) *(.rodata*) *(.srodata*) *(.data*) *(.sdata*) *(.bss*) *(.sbss*) } }
LD
    ZIG_GLOBAL_CACHE_DIR="$folder/cache" "$folder/unpacked/ziglang/zig" cc -target "$1" $3 -O1 -fno-pic -nostdlib -ffreestanding \
        -Wl,-T,"$folder/guest.ld" -Wl,-z,max-page-size=4096 -o "$folder/guest.elf" "$folder/guest.c"
}
