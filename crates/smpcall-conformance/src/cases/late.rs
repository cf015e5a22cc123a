//! What came too late for its own case's report.

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;

/// The last case. A case that was reported as passed may still be found to have failed, by a function of its own that ran
/// late, or because a doorbell of its was missed.
pub(super) fn p1_nothing_went_wrong_after_its_case<R: Rig>(ctx: Ctx<R>) -> Done {
    ctx.barrier()?;
    let late = if ctx.cpu() == 0 { ctx.suite().late_failure(ctx.case()) } else { None };
    if let Some(name) = late {
        return Err(ctx.fail("a case was reported as passed, and then failed", &name));
    }
    ctx.check(true, "nothing came late")
}
