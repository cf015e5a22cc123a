//! Waiting calls: a header, and a place for the closure on its way there and the result on its way back.
//!
//! Both are at the target's [`door`](crate::door) if the call is small and the place is free, else in a frame on the
//! caller's stack. Before the push they are the caller's; from then on the target's, until the state word says done; then
//! the caller's again (I4). The caller does not leave them before (I5).

use super::Smp;
use super::context::{InCall, NoUnwind};
use super::wait::Serve;
use crate::csd::{Header, Op, Work};
use crate::door::{Luggage, Place};
use crate::error::CallError;
use crate::percpu::{PerCpu, Storage};
use crate::platform::{IrqGuard, Platform};
use crate::queue::Seen;
use crate::state::Kind;
use crate::sync::SharedCell;
use crate::trace::{CallKind, queue, told};
use core::mem::{ManuallyDrop, MaybeUninit};

/// The closure until it is run, then its result.
union Cargo<F, T> {
    function: ManuallyDrop<F>,
    result: ManuallyDrop<T>,
}

/// What a function came to: its result, or its panic.
pub(super) type Answer<P, R> = Result<R, <P as Platform>::Panic>;

/// One waiting call on the caller's stack: with four words of closure or result it is one cache line.
#[repr(C, align(64))]
struct Frame<P: Platform, F, R> {
    header: Header,
    cargo: SharedCell<MaybeUninit<Cargo<F, Answer<P, R>>>>,
}

/// Under loom, to leave a frame is to write to all of it: whoever still touches it fails the model (I4).
#[cfg(loom)]
impl<P: Platform, F, R> Drop for Frame<P, F, R> {
    fn drop(&mut self) {
        self.header.leave();
        self.cargo.with_mut(|_| ());
    }
}

/// Where one waiting call travels.
struct Vehicle<'a, C> {
    kind: Kind,
    header: &'a Header,
    cargo: &'a SharedCell<C>,
}

/// Who calls whom, how the caller is woken, and what it serves meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Trip<'a> {
    pub(super) here: Option<(u32, &'a PerCpu)>,
    pub(super) cpu: u32,
    pub(super) target: &'a PerCpu,
    pub(super) waiter: Option<u16>,
    pub(super) serve: Serve,
}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Runs `function` on `cpu`, waits until it has returned, and gives back its result. What it wrote is visible then
    /// (P4), and it may borrow from the caller's stack. Called on `cpu` itself it runs inline, with interrupts off.
    ///
    /// While it waits, a CPU serves its own queue: two that call each other both finish (P10). So functions that others posted run
    /// *inside* this call: hold no lock, and no borrow of a `RefCell`, across it that such a function could want; the one would
    /// wait for ever, the other panic. The same holds for [`Smp::wait`] and [`Smp::call_many`]. A call is never given
    /// up, since its frame could not be left; a target that does not answer is reported to
    /// [`Platform::stalled`].
    ///
    /// Context: thread, interrupts on. From call context only a call to one's own CPU is allowed. Progress: waits for
    /// the target.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the function was then dropped without being run.
    ///
    /// # Panics
    ///
    /// With the function's own panic, where there is unwinding (P11).
    ///
    /// ```compile_fail,E0277
    /// # use smpcall::{Platform, Smp, Storage};
    /// fn not_send<P: Platform, S: Storage>(smp: &Smp<P, S>) {
    ///     let local = std::rc::Rc::new(1);
    ///     let _ = smp.call(1, || *local); // `Rc` cannot be sent between threads safely
    /// }
    /// ```
    #[inline]
    pub fn call<F, R>(&self, cpu: u32, function: F) -> Result<R, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let target = self.cpu(cpu).ok_or(CallError::NoSuchCpu)?;
        let here = self.here();
        if let Some((number, here)) = here
            && number == cpu
        {
            return self.call_self(here, function);
        }
        if !self.may_wait(here) {
            return Err(CallError::WouldDeadlock);
        }
        let waiter = if P::PARKS { self.platform.waiter() } else { None };
        let trip = Trip { here, cpu, target, waiter, serve: Serve::Queue };
        let answer = match self.lease::<F, R>(target) {
            Some(place) => self.call_at_door(&trip, &place, function)?,
            None => self.call_from_frame(trip, Kind::Sync, function)?,
        };
        match answer {
            Ok(result) => Ok(result),
            Err(panic) => P::resume(panic),
        }
    }

    /// The place at the target's door, if the call fits there and nobody has it.
    #[inline(always)]
    fn lease<'a, F, R>(&self, target: &'a PerCpu) -> Option<Place<'a>> {
        let fits = const {
            size_of::<Cargo<F, Answer<P, R>>>() <= size_of::<Luggage>()
                && align_of::<Cargo<F, Answer<P, R>>>() <= align_of::<Luggage>()
        };
        if fits { target.lobby.0.lease.take(&target.door.0) } else { None }
    }

    #[inline(always)]
    fn call_at_door<F, R>(
        &self,
        trip: &Trip<'_>,
        place: &Place<'_>,
        function: F,
    ) -> Result<Answer<P, R>, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let vehicle = Vehicle { kind: Kind::Sync, header: place.header(), cargo: place.luggage() };
        // Here already, so that all that is written at the door is written at once: the target looks at that line.
        let irq = IrqGuard::new(&self.platform);
        // SAFETY: the place is leased, so the header is ours and in no queue (I9), until `place` is dropped.
        unsafe { vehicle.header.reuse_waiting(trip.waiter.unwrap_or(0)) };
        // SAFETY: as above; `lease` has compared the sizes; the door stays in place as long as the machine is borrowed.
        unsafe { self.travel(trip, &vehicle, function, irq) }
    }

    /// Apart from `call`, which mostly finds room at the door: a frame takes stack and its alignment.
    #[inline(never)]
    pub(super) fn call_from_frame<F, R>(
        &self,
        trip: Trip<'_>,
        kind: Kind,
        function: F,
    ) -> Result<Answer<P, R>, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let frame = Frame::<P, F, R> {
            header: Header::new_waiting(trip.waiter.unwrap_or(0), kind),
            cargo: SharedCell::new(MaybeUninit::uninit()),
        };
        let vehicle = Vehicle { kind, header: &frame.header, cargo: &frame.cargo };
        // SAFETY: the frame is ours, of the right type, and left only after `travel`.
        unsafe { self.travel(&trip, &vehicle, function, IrqGuard::new(&self.platform)) }
    }

    /// Loads the function, sends it there, waits, and unloads its answer.
    ///
    /// # Safety
    ///
    /// The vehicle is the caller's alone and in no queue, its header that of a new waiting call; its cargo has room for a
    /// `Cargo<F, Answer<P, R>>`; it stays alive and in place until this returns (I5).
    #[inline(always)]
    unsafe fn travel<F, R, C>(
        &self,
        trip: &Trip<'_>,
        vehicle: &Vehicle<'_, C>,
        function: F,
        irq: IrqGuard<'_, P>,
    ) -> Result<Answer<P, R>, CallError>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        let Vehicle { kind, header, cargo } = *vehicle;
        let function = Cargo::<F, Answer<P, R>> { function: ManuallyDrop::new(function) };
        // SAFETY: not pushed yet, so the room is ours.
        cargo.with_mut(|room| unsafe { room.cast::<Cargo<F, Answer<P, R>>>().write(function) });
        let work = Work { func: run_cargo::<P, F, R, C>, arg: core::ptr::from_ref(cargo).cast() };
        told!(self, queue(trip.cpu, header, &work, CallKind::Waiting));
        // SAFETY: not pushed yet.
        unsafe { header.set_work(work) };
        header.stamp.set(&self.platform);
        // From the push on the target may reach what is in our frame.
        let guard = NoUnwind;
        let pushed = self.push_waiting(trip.cpu, trip.target, header, kind);
        drop(irq);
        if !pushed {
            core::mem::forget(guard);
            // SAFETY: it was not queued, so the closure is still there, and still ours.
            cargo.with_mut(|room| unsafe {
                ManuallyDrop::drop(&mut (*room.cast::<Cargo<F, Answer<P, R>>>()).function);
            });
            return Err(CallError::Offline);
        }
        self.await_call(trip, header, core::any::type_name::<F>());
        core::mem::forget(guard);
        // SAFETY: the word says done, so `run_cargo` has written the answer, and the room is ours again (I4).
        let cargo = cargo.with(|room| unsafe { room.cast::<Cargo<F, Answer<P, R>>>().read() });
        // SAFETY: as above; read once.
        Ok(ManuallyDrop::into_inner(unsafe { cargo.result }))
    }

    /// Queues a waiting call, under the irq guard; `false` if the CPU is offline.
    #[inline(always)]
    fn push_waiting(&self, cpu: u32, target: &PerCpu, header: &Header, kind: Kind) -> bool {
        // The target that matters for speed polls, if targets do, so that is the guess.
        let guess = if P::SERVES_IN_WAITS { Seen::Polling } else { Seen::Idle };
        // SAFETY: the header is ours, and stays in place until the word says done (I4, I5).
        unsafe { self.push_one(cpu, target, header, kind == Kind::Sync, guess) }
    }

    /// A call to one's own CPU: in call context like any other, so that what it may do does not depend on where it runs.
    pub(super) fn call_self<R>(&self, here: &PerCpu, function: impl FnOnce() -> R) -> Result<R, CallError> {
        if here.door.0.head.look() == Seen::Offline && !here.own.0.in_call() {
            return Err(CallError::Offline);
        }
        let _irq = IrqGuard::new(&self.platform);
        let _call = InCall::enter(here);
        Ok(function())
    }
}

/// Runs the function in the cargo, and leaves its answer there.
///
/// # Safety
///
/// `arg` is the `SharedCell<C>` of a queued waiting call, and holds a `Cargo` of these types with a function in it; called
/// once, by its target.
unsafe fn run_cargo<P: Platform, F: FnOnce() -> R, R, C>(arg: *const (), op: Op) {
    debug_assert!(!op.is_discard(), "a waiting call is not cancelled");
    // SAFETY: by I5 it is there until the word says done, which is after this function.
    let cell = unsafe { &*arg.cast::<SharedCell<C>>() };
    // SAFETY: the closure is the target's now, and this is the one call.
    let cargo = cell.with(|room| unsafe { room.cast::<Cargo<F, Answer<P, R>>>().read() });
    // SAFETY: as above: it holds the function, which is read once.
    let function = ManuallyDrop::into_inner(unsafe { cargo.function });
    let result = Cargo::<F, Answer<P, R>> { result: ManuallyDrop::new(P::catch(function)) };
    // SAFETY: the room is the target's until the word says done.
    cell.with_mut(|room| unsafe { room.cast::<Cargo<F, Answer<P, R>>>().write(result) });
}
