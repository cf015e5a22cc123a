//! A csd whose function posts it again: the function has to hold a reference to what it is a part of.

use crate::ctx::{Ctx, Over};
use crate::once::WriteOnce;
use crate::rig::Rig;
use smpcall::{Cancel, Csd, PostError, Posted, WaitError};

/// A csd of whatever closure.
trait AnyCsd<R: Rig>: Sync {
    fn post(&'static self, ctx: Ctx<R>, cpu: u32) -> Result<Posted, PostError>;
    fn is_pending(&self) -> bool;
    fn cancel(&self) -> Cancel;
    fn wait(&'static self, ctx: Ctx<R>) -> Result<(), WaitError>;
}

impl<R: Rig, F: Fn() + Sync + 'static> AnyCsd<R> for Csd<F> {
    fn post(&'static self, ctx: Ctx<R>, cpu: u32) -> Result<Posted, PostError> {
        ctx.smp().post(cpu, self)
    }

    fn is_pending(&self) -> bool {
        self.is_pending()
    }

    fn cancel(&self) -> Cancel {
        self.cancel()
    }

    fn wait(&'static self, ctx: Ctx<R>) -> Result<(), WaitError> {
        ctx.smp().wait(self)
    }
}

/// The csd that a function belongs to, as that function knows it.
pub(crate) struct Itself<R: Rig>(Ctx<R>, &'static WriteOnce<&'static dyn AnyCsd<R>>);

impl<R: Rig> Clone for Itself<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R: Rig> Copy for Itself<R> {}

impl<R: Rig> Itself<R> {
    fn csd(self) -> &'static dyn AnyCsd<R> {
        *self.1.get().expect("a csd knows itself before anybody else knows it")
    }

    pub(crate) fn post(self, cpu: u32) -> Result<Posted, PostError> {
        self.csd().post(self.0, cpu)
    }

    pub(crate) fn is_pending(self) -> bool {
        self.csd().is_pending()
    }

    pub(crate) fn cancel(self) -> Cancel {
        self.csd().cancel()
    }

    pub(crate) fn wait(self) -> Result<(), WaitError> {
        self.csd().wait(self.0)
    }
}

impl<R: Rig> Ctx<R> {
    /// Makes a csd whose function knows it.
    #[track_caller]
    pub(crate) fn csd_with_itself<F: Fn() + Sync + 'static>(
        self,
        function: impl FnOnce(Itself<R>) -> F,
    ) -> Result<&'static Csd<F>, Over> {
        let place = self.place(WriteOnce::new())?;
        let csd = self.csd(function(Itself(self, place)))?;
        place.set(|| csd as &'static dyn AnyCsd<R>);
        Ok(csd)
    }
}
