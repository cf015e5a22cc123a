//! P13: what things take.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use core::mem::{size_of, size_of_val};
use smpcall::{CPUS_MAX, Csd, Machine, PerCpu};

pub(super) fn p13_a_csd_fits_a_cache_line<R: Rig>(ctx: Ctx<R>) -> Done {
    let (a, b) = (1_usize, 2_usize);
    let two_words = Csd::new(move || assert_ne!(a, b));
    ctx.check(size_of_val(&two_words) <= 64, "a csd with a closure of two words takes at most 64 bytes")?;
    ctx.check(size_of::<Csd<fn()>>() <= 64, "a csd with a function pointer takes at most 64 bytes")?;
    ctx.check(size_of::<Csd<()>>() <= 32, "a csd's header takes at most 32 bytes")
}

/// What a machine of so many CPUs takes, all of it: the CPUs, the slots of its multicasts, and what else it has. (The port's
/// own memory is not the core's.)
const fn machine_bytes<const CPUS: usize>() -> usize {
    size_of::<Machine<(), [PerCpu; CPUS]>>()
}

pub(super) fn p13_memory_is_linear_in_the_cpus<R: Rig>(ctx: Ctx<R>) -> Done {
    const CPU_BYTES: usize = size_of::<PerCpu>();
    /// A slot of two lines for each bit of a word, and two lines.
    const REST_BYTES_MAX: usize = 128 * usize::BITS as usize + 256;
    let rest = machine_bytes::<1>() - CPU_BYTES;
    let sizes = [
        (64, machine_bytes::<64>()),
        (512, machine_bytes::<512>()),
        (4096, machine_bytes::<4096>()),
        (CPUS_MAX, machine_bytes::<CPUS_MAX>()),
    ];
    for (cpus, bytes) in sizes {
        ctx.same((cpus, bytes), (cpus, cpus * CPU_BYTES + rest), "CPUs, and what a machine of them takes")?;
        // Which leaves out the bit that P13 allows for each pair of CPUs.
        ctx.check(bytes <= cpus * 640 + REST_BYTES_MAX, "640 bytes a CPU, and slots, whose number is fixed")?;
    }
    ctx.check(rest <= REST_BYTES_MAX, "what a machine takes beside its CPUs")?;
    ctx.check(CPU_BYTES <= 640, "a CPU takes at most 640 bytes")
}
