//! The words that whoever boots the kernel hands it.

/// What comes first among them as `what=`.
pub(crate) fn what() -> &'static str {
    value_of("what").unwrap_or("conformance")
}

/// The value of the first of that name.
fn value_of(name: &str) -> Option<&'static str> {
    words().split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// In the device tree.
#[cfg(not(target_arch = "x86_64"))]
fn words() -> &'static str {
    ax_hal::boot::bootargs().unwrap_or_default()
}

/// ArceOS hands on none that come by UEFI. QEMU has them in its configuration device, which needs no memory.
#[cfg(target_arch = "x86_64")]
fn words() -> &'static str {
    use alloc::vec;
    // QEMU's docs/specs/fw_cfg: the item's number to the selector, then its bytes one after the other, all by ports.
    const SELECTOR: u16 = 0x510;
    const DATA: u16 = 0x511;
    const CMDLINE_SIZE: u16 = 0x14;
    const CMDLINE_DATA: u16 = 0x15;
    let item = |number: u16, bytes: &mut [u8]| {
        // SAFETY: selects an item; the device is QEMU's, or the port is nobody's.
        unsafe {
            core::arch::asm!("out dx, ax", in("dx") SELECTOR, in("ax") number, options(nostack, nomem))
        };
        for byte in bytes {
            // SAFETY: reads the item's next byte.
            unsafe { core::arch::asm!("in al, dx", in("dx") DATA, out("al") *byte, options(nostack, nomem)) };
        }
    };
    let mut size = [0; 4];
    item(CMDLINE_SIZE, &mut size);
    // Where there is no such device each byte is 255.
    let size = u32::from_le_bytes(size) as usize;
    if size > 4096 {
        return "";
    }
    let mut text = vec![0; size];
    item(CMDLINE_DATA, &mut text);
    let end = text.iter().position(|&byte| byte == 0).unwrap_or(size);
    text.truncate(end);
    core::str::from_utf8(text.leak()).unwrap_or_default()
}
