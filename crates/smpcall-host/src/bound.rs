//! A value that stays on its CPU, and a handle that goes anywhere.
//!
//! # Invariants
//!
//! - **I36** A bound value is touched, its drop included, only by the thread of the incarnation that it was made in: one stay of one thread as
//!   one CPU, which has a number that no other has. So it is never seen by another thread, also not by one that is the same
//!   CPU later; and one at a time has it, who turned `in_use` to true.

use crate::machine::Machine;
use crate::trace::Trace;
use crate::{here, incarnation};
use smpcall::{CsdField, CsdOwner, Here, Lent, csd_field};
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A value that is used and dropped on its own CPU only. The handle may be anywhere, also if the value can be sent nowhere: an `Rc`,
/// a task's state, what a library keeps for each thread.
///
/// It is made on a CPU, by the thread that is that CPU, and [reached](Self::with) there: in a function that is posted there, or by
/// the thread itself. To make one is one allocation.
///
/// **Dropped on its CPU**, the value is dropped there and then. **Dropped elsewhere**, its drop is posted to its CPU, by a csd that is part of
/// it: nothing is allocated, nobody waits, and the drop runs in call context. If that CPU is offline by then, or another
/// thread has become that CPU, the value is *leaked*: its thread may be gone, and no other may touch it. So drop what is
/// not to leak before its CPU detaches.
///
/// ```
/// use smpcall_host::{CpuBound, Machine};
/// use std::cell::RefCell;
/// use std::rc::Rc;
///
/// let machine = Machine::builder().owned(2).build()?;
/// // Made on CPU 1, of what cannot be sent; what comes back is the handle.
/// let list = machine.call(1, || CpuBound::new(&machine, Rc::new(RefCell::new(vec![1]))).ok())?.expect("CPU 1 is a CPU");
/// assert!(list.with(|_| ()).is_err(), "this thread is not CPU 1");
/// let sum = machine.call(1, || list.with(|list| { list.borrow_mut().push(2); list.borrow().iter().sum::<i32>() }))?;
/// assert_eq!(sum, Ok(3));
/// drop(list); // on CPU 1
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What must not compile: to keep what it lends, to send what cannot be sent without it, to bind what it borrows, and a handle
/// that outlives the machine.
///
/// ```compile_fail,E0521
/// # use smpcall_host::CpuBound;
/// fn kept<'a>(bound: &CpuBound<'_, String>, kept: &mut Option<&'a mut String>) {
///     let _ = bound.with(|value| *kept = Some(value)); // borrowed data escapes
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use smpcall_host::Machine;
/// fn sent(machine: &Machine) {
///     let _ = machine.call(1, || std::rc::Rc::new(1)); // `Rc<i32>` cannot be sent between threads safely
/// }
/// ```
///
/// ```compile_fail,E0277
/// # use smpcall_host::{CpuBound, Machine};
/// fn sent_to_be_bound(machine: &Machine, value: std::rc::Rc<u32>) {
///     let _ = machine.call(1, || CpuBound::new(machine, value).is_ok()); // the value was made here
/// }
/// ```
///
/// ```compile_fail,E0597
/// # use smpcall_host::{CpuBound, Machine};
/// fn borrows(machine: &Machine) {
///     let local = 1;
///     let _ = CpuBound::new(machine, &local); // `local` does not live long enough
/// }
/// ```
///
/// ```compile_fail,E0505
/// # use smpcall_host::{CpuBound, Machine};
/// fn outlives(machine: Machine) {
///     let bound = CpuBound::new(&machine, 1);
///     drop(machine); // cannot move out of `machine` because it is borrowed
///     drop(bound);
/// }
/// ```
pub struct CpuBound<'m, T: 'static, Tr: Trace = ()> {
    machine: &'m Machine<Tr>,
    held: Arc<Held<T>>,
}

/// Why a bound value was not reached. The function was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BoundError {
    /// This thread is not the CPU that the value belongs to: call that, and reach for it there. If that CPU has detached since, nobody
    /// reaches it any more.
    Elsewhere,
    /// Somebody below on this stack has it.
    InUse,
}

impl fmt::Display for BoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elsewhere => "the value belongs to another CPU",
            Self::InUse => "the value is in use",
        })
    }
}

impl std::error::Error for BoundError {}

impl<'m, T: 'static, Tr: Trace> CpuBound<'m, T, Tr> {
    /// Binds a value to the CPU that runs the caller.
    ///
    /// Context: the thread of a CPU of that machine, in a function or outside. Progress: that of the allocator.
    ///
    /// # Errors
    ///
    /// The value, if the caller is no CPU of that machine.
    pub fn new(machine: &'m Machine<Tr>, value: T) -> Result<Self, T> {
        let (here, incarnation) = (here::here(), incarnation::own());
        if incarnation == incarnation::NONE || here.machine != machine.platform().id() {
            return Err(value);
        }
        let held = Held {
            csd: CsdField::new(),
            incarnation,
            cpu: here.cpu,
            in_use: AtomicBool::new(false),
            value: UnsafeCell::new(ManuallyDrop::new(value)),
        };
        Ok(Self { machine, held: Arc::new(held) })
    }

    /// Returns the CPU that the value belongs to.
    ///
    /// Example: [`CpuBound::into_inner`](crate::CpuBound::into_inner).
    pub fn cpu(&self) -> u32 {
        self.held.cpu
    }

    /// Calls `f` with the value.
    ///
    /// Context: the thread that made it, as long as that is the CPU that it was. Progress: wait-free; a few loads, and a
    /// read-modify-write on a word that only this CPU touches.
    ///
    /// # Errors
    ///
    /// [`BoundError`].
    ///
    /// ```
    /// use smpcall_host::{CpuBound, Machine};
    /// use std::rc::Rc;
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let mut here = machine.attach(0)?;
    /// let value = CpuBound::new(&machine, Rc::new(5)).unwrap(); // neither Send nor Sync
    /// assert_eq!(value.with(|value| **value), Ok(5));
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert!(value.with(|_| ()).is_err())); // the handle may be anywhere, the value may not
    /// });
    /// # drop(value);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Result<R, BoundError> {
        let held = &*self.held;
        if !held.is_here() {
            return Err(BoundError::Elsewhere);
        }
        // Acquire: sees what the last one wrote; pairs with `GiveBack`. They are one thread.
        if held.in_use.swap(true, Ordering::Acquire) {
            return Err(BoundError::InUse);
        }
        let _back = GiveBack(&held.in_use);
        // SAFETY: by I36 this is its thread, and nobody else has it; it is dropped with the handle, which is borrowed.
        Ok(f(unsafe { &mut *held.value.get() }))
    }

    /// Takes the value out.
    ///
    /// Context, progress: as for [`Self::with`].
    ///
    /// # Errors
    ///
    /// The handle, if the caller is not the thread that the value belongs to.
    ///
    /// ```
    /// use smpcall_host::{CpuBound, Machine};
    /// use std::rc::Rc;
    ///
    /// let machine = Machine::builder().attachable(1).build()?;
    /// let _here = machine.attach(0)?;
    /// let bound = CpuBound::new(&machine, Rc::new(5)).expect("this thread is a CPU");
    /// assert_eq!(bound.cpu(), 0);
    /// let value: Rc<i32> = bound.into_inner().expect("of this CPU");
    /// assert_eq!(*value, 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_inner(self) -> Result<T, Self> {
        if !self.held.is_here() {
            return Err(self);
        }
        // SAFETY: by I36 this is its thread; the handle is the caller's alone, and is not dropped below.
        let value = unsafe { ManuallyDrop::take(&mut *self.held.value.get()) };
        let this = ManuallyDrop::new(self);
        // SAFETY: the handle itself is not dropped, so this count is ours to take, once.
        drop(unsafe { std::ptr::read(&raw const this.held) });
        Ok(value)
    }
}

impl<T: 'static, Tr: Trace> Drop for CpuBound<'_, T, Tr> {
    fn drop(&mut self) {
        if self.held.is_here() {
            // SAFETY: by I36 this is its thread; the handle was the last way to it.
            unsafe { self.held.drop_value() };
        } else {
            // Refused: it is leaked, as is said above.
            let _ = self.machine.post(self.held.cpu, &self.held);
        }
    }
}

impl<T: 'static, Tr: Trace> fmt::Debug for CpuBound<'_, T, Tr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuBound").field("cpu", &self.held.cpu).finish_non_exhaustive()
    }
}

/// The value, and the csd by which its drop is posted.
struct Held<T> {
    csd: CsdField,
    incarnation: u64,
    cpu: u32,
    in_use: AtomicBool,
    value: UnsafeCell<ManuallyDrop<T>>,
}

// SAFETY: by I36 other threads touch nothing of it but the csd, the flag and numbers; who frees the memory does not drop the value.
unsafe impl<T> Sync for Held<T> {}
// SAFETY: as above.
unsafe impl<T> Send for Held<T> {}

csd_field! { impl{T: 'static} Held<T> { csd } }

impl<T: 'static> CsdOwner for Held<T> {
    type Pointer = Lent;

    /// Its handle was dropped elsewhere.
    fn run(this: &Self, _: Here<'_>) {
        if this.is_here() {
            // SAFETY: by I36 this is its thread; the handle is gone, and this was posted once.
            unsafe { this.drop_value() };
        }
    }
}

impl<T> Held<T> {
    fn is_here(&self) -> bool {
        incarnation::own() == self.incarnation
    }

    /// # Safety
    ///
    /// The caller is the thread of its incarnation, and nobody has the value, or will.
    unsafe fn drop_value(&self) {
        // SAFETY: the caller's promise.
        unsafe { ManuallyDrop::drop(&mut *self.value.get()) };
    }
}

/// Gives the value back, also when the function panics.
struct GiveBack<'a>(&'a AtomicBool);

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        // Release: publishes what was written to the value; pairs with `with`.
        self.0.store(false, Ordering::Release);
    }
}
