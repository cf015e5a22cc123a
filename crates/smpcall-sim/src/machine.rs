//! The machine under test: one of four, since whether callers park, and whether the port counts, are constants of the port.

use crate::faults::Faulty;
use crate::scenario::Scenario;
use smpcall_instrumented::{
    AsyncCall, AsyncCallError, Budget, CallError, Chain, CpuMask, Csd, Deferred, DetachedError, Flushed,
    Hold, HotplugError, ManyError, NoSleep, NotInUser, PerCpu, Platform, PostError, Posted, Reached,
    RendezvousError, To, WaitError,
};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// What a csd of the simulator runs.
pub(crate) type Function = Box<dyn Fn() + Send + Sync>;

/// What a panic of a simulated machine leaves behind.
pub(crate) type Panic = Box<dyn Any + Send>;

/// A future of one of the machines.
pub(crate) type Awaiting<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What an awaited call comes to.
pub(crate) type Outcome<R> = Result<R, AsyncCallError<Panic>>;

type Of<const PARKS: bool, const COUNTS: bool> =
    smpcall_instrumented::Machine<Faulty<PARKS, COUNTS>, Box<[PerCpu]>>;

/// A machine whose callers park, or one whose callers spin; with a port that counts, or one that does not.
pub(crate) enum Machine {
    Parks(Pin<Box<Of<true, false>>>),
    Spins(Pin<Box<Of<false, false>>>),
    ParksCounted(Pin<Box<Of<true, true>>>),
    SpinsCounted(Pin<Box<Of<false, true>>>),
}

macro_rules! on {
    ($machine:expr, $smp:ident => $call:expr) => {
        match $machine {
            Machine::Parks($smp) => $call,
            Machine::Spins($smp) => $call,
            Machine::ParksCounted($smp) => $call,
            Machine::SpinsCounted($smp) => $call,
        }
    };
}

/// The handle of the CPU that runs the caller, which is online and outside of a function.
macro_rules! own {
    ($smp:ident) => {
        $smp.as_ref().this_cpu().expect("a CPU that is online, outside of a function")
    };
}

impl Machine {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        fn made<const PARKS: bool, const COUNTS: bool>(scenario: &Scenario) -> Pin<Box<Of<PARKS, COUNTS>>> {
            let storage: Box<[PerCpu]> = (0..scenario.cpus).map(|_| PerCpu::new()).collect();
            let port = Faulty::new(scenario.faults.clone(), scenario.seed);
            Box::pin(
                smpcall_instrumented::Machine::with_storage(port, storage)
                    .expect("a scenario has 1 to 8192 CPUs"),
            )
        }
        match (scenario.parks, scenario.counts) {
            (true, false) => Self::Parks(made(scenario)),
            (false, false) => Self::Spins(made(scenario)),
            (true, true) => Self::ParksCounted(made(scenario)),
            (false, true) => Self::SpinsCounted(made(scenario)),
        }
    }

    pub(crate) fn post(&self, cpu: u32, csd: &'static Csd<Function>) -> Result<Posted, PostError> {
        on!(self, smp => smp.post(cpu, csd))
    }

    pub(crate) fn post_lazy(&self, cpu: u32, csd: &'static Csd<Function>) -> Result<Posted, PostError> {
        on!(self, smp => smp.post_lazy(cpu, csd))
    }

    pub(crate) fn post_deferred(&self, cpu: u32, csd: &'static Csd<Function>) -> Result<Deferred, PostError> {
        on!(self, smp => smp.post_deferred(cpu, csd))
    }

    pub(crate) fn rendezvous(
        &self,
        mask: &CpuMask,
        limit: Option<Duration>,
        function: impl FnOnce(),
    ) -> Result<(), RendezvousError> {
        on!(self, smp => match limit {
            None => smp.rendezvous(Hold::Mask(mask), function),
            Some(limit) => smp.rendezvous_timeout(Hold::Mask(mask), limit, function),
        })
    }

    pub(crate) fn enter_user(&self) -> Result<(), NotInUser> {
        on!(self, smp => smp.enter_user())
    }

    pub(crate) fn enter_kernel(&self) -> u32 {
        on!(self, smp => smp.enter_kernel())
    }

    pub(crate) fn post_detached(
        &self,
        cpu: u32,
        function: impl FnOnce() + Copy + Send + 'static,
    ) -> Result<(), DetachedError> {
        on!(self, smp => smp.post_detached(cpu, function))
    }

    pub(crate) fn post_counted(&self, cpu: u32, csd: &Arc<Csd<Function>>) -> Result<Posted, PostError> {
        on!(self, smp => smp.post(cpu, csd))
    }

    pub(crate) fn post_all(
        &self,
        cpu: u32,
        csds: impl IntoIterator<Item = &'static Csd<Function>>,
    ) -> Result<Chain, PostError> {
        on!(self, smp => smp.post_all(cpu, csds))
    }

    pub(crate) fn call<R: Send>(
        &self,
        cpu: u32,
        function: impl FnOnce() -> R + Send,
    ) -> Result<R, CallError> {
        on!(self, smp => smp.call(cpu, function))
    }

    pub(crate) fn call_blocking<R: Send>(
        &self,
        cpu: u32,
        function: impl FnOnce() -> R + Send,
    ) -> Result<R, CallError> {
        on!(self, smp => smp.call_blocking(cpu, function))
    }

    pub(crate) fn call_async<R: Send + 'static>(
        &self,
        cpu: u32,
        function: impl FnOnce() -> R + Send + 'static,
    ) -> Awaiting<'_, Outcome<R>> {
        on!(self, smp => Box::pin(smp.call_async(cpu, function)))
    }

    pub(crate) fn call_async_by<'a, F, R: Send + 'static>(
        &'a self,
        call: &'a mut AsyncCall<F, R, Panic>,
        cpu: u32,
        function: F,
    ) -> Awaiting<'a, Outcome<R>>
    where
        F: FnOnce() -> R + Send + 'static,
    {
        on!(self, smp => Box::pin(smp.call_async_by(call, cpu, function)))
    }

    pub(crate) fn call_async_many<R: Send + 'static>(
        &self,
        mask: &CpuMask,
        function: impl FnOnce(u32) -> R + Clone + Send + 'static,
    ) -> Awaiting<'_, Vec<(u32, Outcome<R>)>> {
        on!(self, smp => Box::pin(smp.call_async_many(To::Mask(mask), function)))
    }

    pub(crate) fn run_blocking(&self) -> u32 {
        on!(self, smp => own!(smp).run_blocking())
    }

    pub(crate) fn call_nearest<R: Send>(
        &self,
        mask: &CpuMask,
        function: impl FnOnce() -> R + Send,
    ) -> Result<R, CallError> {
        on!(self, smp => smp.call_nearest(mask, function))
    }

    pub(crate) fn call_many(&self, to: To<'_>, function: impl Fn() + Sync) -> Result<Reached, ManyError> {
        on!(self, smp => smp.call_many(to, function))
    }

    pub(crate) fn call_many_meanwhile(
        &self,
        to: To<'_>,
        function: impl Fn() + Sync,
        work: impl FnOnce(),
    ) -> Result<Reached, ManyError> {
        on!(self, smp => smp.call_many_meanwhile(to, function, work)).map(|(reached, ())| reached)
    }

    pub(crate) fn call_many_idle(
        &self,
        to: To<'_>,
        busy: &mut CpuMask,
        function: impl Fn() + Sync,
    ) -> Result<Reached, ManyError> {
        on!(self, smp => smp.call_many_idle(to, busy, function))
    }

    pub(crate) fn post_many(
        &self,
        to: To<'_>,
        function: impl Fn() + Copy + Send + Sync + 'static,
    ) -> Result<Reached, ManyError> {
        on!(self, smp => smp.post_many(to, function))
    }

    pub(crate) fn wait(
        &self,
        csd: &'static Csd<Function>,
        deadline_ns: Option<u64>,
    ) -> Result<(), WaitError> {
        on!(self, smp => match deadline_ns {
            None => smp.wait(csd),
            Some(deadline_ns) => smp.wait_until(csd, deadline_ns),
        })
    }

    pub(crate) fn flush(&self, budget: Budget) -> Flushed {
        on!(self, smp => smp.flush(budget))
    }

    pub(crate) fn online(&self) -> Result<(), HotplugError> {
        on!(self, smp => smp.as_ref().online().map(|_| ()))
    }

    pub(crate) fn offline(&self) -> Result<u32, HotplugError> {
        on!(self, smp => smp.as_ref().this_cpu()?.offline().map_err(|(_, why)| why))
    }

    pub(crate) fn poll_begin(&self) {
        on!(self, smp => own!(smp).poll_begin());
    }

    /// Begins to sleep, unless there is work.
    pub(crate) fn poll_end(&self) -> Result<(), NoSleep> {
        on!(self, smp => own!(smp).begin_sleep().map(|guard| _ = guard.commit()))
    }

    pub(crate) fn has_work(&self) -> bool {
        on!(self, smp => own!(smp).has_work())
    }

    pub(crate) fn wake_idle_cpus(&self) -> u32 {
        on!(self, smp => smp.wake_idle_cpus())
    }

    /// The port's clock, as the core sees it.
    pub(crate) fn now_ns(&self) -> u64 {
        on!(self, smp => smp.platform().now_ns())
    }

    pub(crate) fn heal(&self) {
        on!(self, smp => smp.platform().heal());
    }

    /// How many doorbells could not be sent.
    pub(crate) fn unsent(&self) -> u32 {
        on!(self, smp => smp.platform().unsent())
    }

    pub(crate) fn ring_owed(&self) -> u32 {
        on!(self, smp => smp.ring_owed())
    }

    /// How many doorbells never arrived.
    pub(crate) fn lost(&self) -> u32 {
        on!(self, smp => smp.platform().lost())
    }
}
