//! Firmwares of riscv64 other than QEMU's own: Debian's newest OpenSBI, which answers to SBI 3.0, and one that is older than any that
//! the kernel can use.

use super::make_parent;
use crate::debian::Unpacked;
use crate::sh;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;

/// What `--bios` has for it.
pub(crate) const NEWEST: &str = "opensbi-1.9";

const OPENSBI: Unpacked = Unpacked { folder: NEWEST, suite: "forky", packages: "opensbi=1.9*" };

/// Fetches it, once.
pub(crate) fn fetch() -> Result<()> {
    OPENSBI.fetch()
}

/// The file that `--bios` means.
pub(super) fn file(named: &str) -> Result<PathBuf> {
    if named != NEWEST {
        return Ok(named.into());
    }
    let file = OPENSBI.root().join("usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin");
    ensure!(file.exists(), "no OpenSBI 1.9: `cargo xtask setup` fetches Debian's");
    Ok(file)
}

/// Starts hart 0 at the kernel in supervisor mode, with all memory open to it, and answers each call as SBI 0.1 does those that it does not
/// know: "not supported". The other harts wait.
const OLD: [u32; 25] = [
    0xf140_22f3, // csrr t0, mhartid
    0x0202_9e63, // bnez t0, park
    0xfff0_0293, // li t0, -1
    0x3b02_9073, // csrw pmpaddr0, t0
    0x01f0_0293, // li t0, 0x1f: read, write, execute, up to the power of two
    0x3a02_9073, // csrw pmpcfg0, t0
    0x0000_0297, // auipc t0, 0
    0x0302_8293, // addi t0, t0, 48: trap
    0x3052_9073, // csrw mtvec, t0
    0x0010_0293, // li t0, 1
    0x00b2_9293, // slli t0, t0, 11: mstatus.MPP of supervisors
    0x3002_9073, // csrw mstatus, t0
    0x4010_0293, // li t0, 0x401
    0x0152_9293, // slli t0, t0, 21: 0x80200000, where the kernel is
    0x3412_9073, // csrw mepc, t0
    0x3020_0073, // mret
    0x1050_0073, // park: wfi
    0xffdf_f06f, // j park
    0x3402_9073, // trap: csrw mscratch, t0
    0x3410_22f3, // csrr t0, mepc
    0x0042_8293, // addi t0, t0, 4
    0x3412_9073, // csrw mepc, t0
    0xffe0_0513, // li a0, -2
    0x3400_22f3, // csrr t0, mscratch
    0x3020_0073, // mret
];

/// Writes it, and returns where.
pub(super) fn write_old() -> Result<PathBuf> {
    let file = sh::target_dir().join("boot/sbi-0.1.bin");
    make_parent(&file)?;
    let bytes: Vec<u8> = OLD.iter().flat_map(|word| word.to_le_bytes()).collect();
    fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}
