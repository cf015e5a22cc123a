//! What only a kernel can test.

use crate::report::Report;

pub(crate) fn run(cpu: u32) -> bool {
    if cpu != 0 {
        crate::idle::until(&crate::machine::SMP, || false);
    }
    Report::announce(0).end()
}
