//! The clock: the time stamp counter, whose rate, and that of the APICs' timers, the power management timer tells.
//!
//! Sources: *ACPI Specification* 6.5, 4.8.3.3 (the timer: 3.579545 MHz, at least 24 bits); SDM volume 3B, 18.17 (the TSC is
//! reset with the machine, on all CPUs at once, and runs at one rate; RDTSC is not ordered by itself).

use super::{apic, firmware};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use smpcall_bare::arch::relax;
use x86_64::instructions::port::Port;

/// The power management timer.
const POWER_HZ: u64 = 3_579_545;
const POWER_MASK: u32 = 0xff_ffff;
/// For how long the clocks are compared.
const COMPARE_POWER_TICKS: u32 = POWER_HZ as u32 / 50;
/// How often they are read together: the one that was least interrupted counts.
const READINGS: u32 = 10;

/// Fractions have 32 bits.
const POINT: u32 = 32;

/// The TSC when the clock was 0; ns in a tick of the TSC, and ticks of the APIC's timer in a ns, as fractions. All written
/// before other CPUs start, and read only after.
static START: AtomicU64 = AtomicU64::new(0);
static NS_PER_TICK: AtomicU64 = AtomicU64::new(0);
static TIMER_TICKS_PER_NS: AtomicU64 = AtomicU64::new(0);

fn ticks() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a register. LFENCE: not before what was loaded earlier, so that what another CPU read before lies behind.
    unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The three clocks at one moment.
struct Reading {
    tsc: u64,
    timer: u32,
    power: u32,
}

impl Reading {
    fn take(power: &mut Port<u32>) -> Self {
        let readings = (0..READINGS).map(|_| {
            let before = ticks();
            // SAFETY: the port is the timer's, by the FADT.
            let power = unsafe { power.read() };
            let timer = apic::timer();
            let after = ticks();
            (after - before, Self { tsc: before, timer, power })
        });
        readings.min_by_key(|(took, _)| *took).expect("there are several").1
    }
}

/// Finds out the rates. On the boot CPU, whose APIC is on and its alarm masked.
pub(super) fn calibrate() {
    let mut port = Port::new(firmware::power_timer().expect("the machine has a power management timer"));
    apic::start_timer(u32::MAX);
    let first = Reading::take(&mut port);
    let (last, passed) = loop {
        relax();
        let last = Reading::take(&mut port);
        let passed = last.power.wrapping_sub(first.power) & POWER_MASK;
        if passed >= COMPARE_POWER_TICKS {
            break (last, passed);
        }
    };
    apic::start_timer(0);
    let ns = u128::from(passed) * 1_000_000_000 / u128::from(POWER_HZ);
    let ticks = u128::from(last.tsc - first.tsc);
    let timer_ticks = u128::from(first.timer - last.timer);
    // Relaxed, here and below: see the rates.
    NS_PER_TICK.store(((ns << POINT) / ticks) as u64, Ordering::Relaxed);
    TIMER_TICKS_PER_NS.store(((timer_ticks << POINT) / ns) as u64, Ordering::Relaxed);
    START.store(first.tsc, Ordering::Relaxed);
}

fn scaled(value: u64, by: &AtomicU64) -> u128 {
    // Relaxed: see the rates.
    (u128::from(value) * u128::from(by.load(Ordering::Relaxed))) >> POINT
}

pub(super) fn now_ns() -> u64 {
    let passed = ticks().saturating_sub(START.load(Ordering::Relaxed));
    scaled(passed, &NS_PER_TICK) as u64
}

/// How long that is for the APIC's timer: at least one tick, at most what fits.
pub(super) fn timer_ticks(ns: u64) -> u32 {
    u32::try_from(scaled(ns, &TIMER_TICKS_PER_NS)).unwrap_or(u32::MAX).max(1)
}

pub(super) fn wait_ns(ns: u64) {
    let until_ns = now_ns() + ns;
    while now_ns() < until_ns {
        relax();
    }
}
