//! P13: what things take.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;
use core::mem::{size_of, size_of_val};
use smpcall::{CPUS_MAX, Csd, PerCpu, Smp};

pub(super) fn p13_a_csd_fits_a_cache_line<R: Rig>(ctx: Ctx<R>) -> Done {
    let (a, b) = (1_usize, 2_usize);
    let two_words = Csd::new(move || assert_ne!(a, b));
    ctx.check(size_of_val(&two_words) <= 64, "a csd with a closure of two words takes at most 64 bytes")?;
    ctx.check(size_of::<Csd<fn()>>() <= 64, "a csd with a function pointer takes at most 64 bytes")?;
    ctx.check(size_of::<Csd<()>>() <= 32, "a csd's header takes at most 32 bytes")
}

pub(super) fn p13_memory_is_linear_in_the_cpus<R: Rig>(ctx: Ctx<R>) -> Done {
    let small = size_of::<Smp<(), [PerCpu; 1]>>() - size_of::<PerCpu>();
    let large = size_of::<Smp<(), [PerCpu; CPUS_MAX]>>() - CPUS_MAX * size_of::<PerCpu>();
    ctx.same(large, small, "what a machine takes beside its CPUs, for the most and for one")?;
    ctx.check(size_of::<PerCpu>() <= 768, "a CPU takes at most 768 bytes")
}
