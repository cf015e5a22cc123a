//! A struct with a csd in it, for cases whose function needs what it is a part of: it posts it again, or asks after it.

use crate::ctx::{Ctx, Over};
use crate::rig::Rig;
use smpcall::{CsdField, CsdOwner, Here, csd_field};

/// A csd, and beside it what its function needs.
pub(crate) struct Own<R: Rig, D: 'static> {
    pub(crate) csd: CsdField,
    pub(crate) ctx: Ctx<R>,
    pub(crate) data: D,
    run: fn(&'static Own<R, D>, u32),
}

csd_field! { impl{R: Rig, D: 'static} Own<R, D> { csd } }

impl<R: Rig, D: Sync + 'static> CsdOwner for Own<R, D> {
    type Pointer = &'static Self;

    fn run(this: &'static Self, here: Here<'_>) {
        (this.run)(this, here.cpu());
    }
}

impl<R: Rig> Ctx<R> {
    /// Makes a csd whose function is given what it lies in, and its CPU.
    #[track_caller]
    pub(crate) fn own<D: Sync + 'static>(
        self,
        data: D,
        run: fn(&'static Own<R, D>, u32),
    ) -> Result<&'static Own<R, D>, Over> {
        self.place(Own { csd: CsdField::new(), ctx: self, data, run })
    }
}
