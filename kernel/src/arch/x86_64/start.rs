//! Starting other CPUs: INIT, then a start-up interrupt with the page at which they begin (SDM volume 3A, 9.4.4.1).

use super::{apic, block, clock};
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use smpcall_bare::arch::{HardwareId, relax};

/// Where CPUs begin: memory that every PC has, and that its firmware has no more use for.
const PAGE: u8 = 8;
const PAGE_BYTES: usize = 4096;

/// From INIT to start-up, and from one start-up to the next one: the first may be lost.
const INIT_NS: u64 = 10_000_000;
const AGAIN_NS: u64 = 1_000_000;
/// How long a CPU may take to begin.
const BEGIN_NS: u64 = 20_000_000_000;

/// Why a CPU did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartError {
    /// Its first instructions did not run.
    Silent,
}

/// The number, plus one, of the CPU that is being started; it takes the number, and leaves 0.
pub(super) static NEXT: AtomicU32 = AtomicU32::new(0);
/// Set while somebody starts a CPU: one at a time.
static STARTING: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    static trampoline: u8;
    static trampoline_end: u8;
}

/// Puts the first instructions where CPUs begin. On the boot CPU, which has read what the firmware left.
pub(super) fn install() {
    let from = &raw const trampoline;
    let bytes = (&raw const trampoline_end).addr() - from.addr();
    assert!(bytes <= PAGE_BYTES, "the first instructions take {bytes} bytes, and there is one page");
    let to = (usize::from(PAGE) * PAGE_BYTES) as *mut u8;
    // SAFETY: both are mapped, and no one has anything there.
    unsafe { ptr::copy_nonoverlapping(from, to, bytes) };
}

/// Starts a CPU, which is stopped or was never started. (Not the boot CPU: an INIT makes that one boot.)
pub(super) fn start(cpu: u32, id: HardwareId) -> Result<(), StartError> {
    // Acquire: pairs with the release below, so that each has `NEXT` for itself.
    while STARTING.swap(true, Ordering::Acquire) {
        relax();
    }
    let started = start_alone(cpu, id);
    // Release: see above.
    STARTING.store(false, Ordering::Release);
    started
}

fn start_alone(cpu: u32, id: HardwareId) -> Result<(), StartError> {
    block::forget_stop(cpu);
    // Release: publishes what the CPU will find; pairs with its XCHG in boot.s.
    NEXT.store(cpu + 1, Ordering::Release);
    apic::send_init(id);
    clock::wait_ns(INIT_NS);
    let until_ns = clock::now_ns() + BEGIN_NS;
    while clock::now_ns() < until_ns {
        apic::send_start_up(id, PAGE);
        let again_ns = clock::now_ns() + AGAIN_NS;
        while clock::now_ns() < again_ns {
            // Relaxed: that it was taken is all.
            if NEXT.load(Ordering::Relaxed) == 0 {
                return Ok(());
            }
            relax();
        }
    }
    // Relaxed: as above.
    if NEXT.swap(0, Ordering::Relaxed) == 0 {
        return Ok(());
    }
    // It must not come later, and take the next one's number.
    apic::send_init(id);
    Err(StartError::Silent)
}
