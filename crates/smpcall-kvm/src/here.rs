//! The calling thread's vCPU.
//!
//! | `guest` is | the thread is |
//! |---|---|
//! | empty | no vCPU |
//! | there, and free | out of the guest |
//! | there, and borrowed | in the guest, or in the handler of an exit, which may borrow what is the guest's |
//!
//! All of it is the thread's own: others reach it by functions that run here. So a pause is a number that this thread looks at before
//! it enters the guest, and nothing else.

use crate::error::GuestError;
use crate::guest::Guest;
use std::any::Any;
use std::cell::{Cell, RefCell};

thread_local! {
    static GUEST: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    /// The last exit has left an operation half done.
    static HALF_DONE: Cell<bool> = const { Cell::new(false) };
    static PAUSES: Cell<u32> = const { Cell::new(0) };
    static IS_VCPU: Cell<bool> = const { Cell::new(false) };
}

/// The thread becomes a vCPU.
pub(crate) fn begin<G: Guest>(guest: G) {
    // One that was leaked with its thread's place is dropped by now, or here.
    let before = GUEST.replace(Some(Box::new(guest)));
    HALF_DONE.set(false);
    PAUSES.set(0);
    IS_VCPU.set(true);
    drop(before);
}

/// It is none any more.
pub(crate) fn end<G: Guest>() -> Option<G> {
    IS_VCPU.set(false);
    // At the thread's own end its values may be gone.
    let guest = GUEST.try_with(|guest| guest.try_borrow_mut().ok()?.take()).ok()??;
    guest.downcast().ok().map(|guest| *guest)
}

pub(crate) fn is_half_done() -> bool {
    HALF_DONE.get()
}

pub(crate) fn set_half_done(is: bool) {
    HALF_DONE.set(is);
}

pub(crate) fn is_paused() -> bool {
    PAUSES.get() != 0
}

/// The guest, whatever state it is in, for the vCPU's own thread.
pub(crate) fn borrow<G: Guest, R>(f: impl FnOnce(&mut G) -> R) -> Result<R, GuestError> {
    GUEST.with(|guest| {
        let mut guest = guest.try_borrow_mut().map_err(|_| GuestError::InExit)?;
        Ok(f(guest.as_mut().and_then(|guest| guest.downcast_mut()).ok_or(GuestError::NoSuchGuest)?))
    })
}

/// Calls `f` with the guest of the calling thread, out of the guest and with no operation half done: for functions that are posted to a
/// vCPU, of any shape.
///
/// ```no_run
/// use kvm_ioctls::VcpuFd;
/// use smpcall_host::smpcall::To;
/// # fn example(machine: &smpcall_host::Machine) -> Result<(), Box<dyn std::error::Error>> {
/// // Each vCPU says where it is, in one multicast.
/// machine.call_many(To::All, || {
///     let at = smpcall_kvm::with_guest(|vcpu: &mut VcpuFd| vcpu.get_mp_state());
///     println!("{at:?}");
/// })?;
/// # Ok(())
/// # }
/// ```
///
/// Context: any function on a vCPU's thread. Progress: that of `f`.
///
/// # Errors
///
/// [`GuestError`]; `f` was not called.
pub fn with_guest<G: Guest, R>(f: impl FnOnce(&mut G) -> R) -> Result<R, GuestError> {
    if is_half_done() {
        return Err(GuestError::InExit);
    }
    borrow(f)
}

/// Pauses the calling thread's vCPU: it does not enter the guest until [`resume_here`] was called as often. For functions that are posted
/// to it, multicasts too; [`Vcpus::pause_vcpu`](crate::Vcpus::pause_vcpu) posts one.
///
/// Context: any function on a vCPU's thread. Progress: wait-free.
///
/// # Errors
///
/// [`GuestError::NoSuchGuest`] on a thread that is no vCPU.
///
/// Example: [`Guest`].
pub fn pause_here() -> Result<(), GuestError> {
    if !IS_VCPU.get() {
        return Err(GuestError::NoSuchGuest);
    }
    PAUSES.set(PAUSES.get() + 1);
    Ok(())
}

/// Takes back one [`pause_here`].
///
/// Context, progress: as there.
///
/// # Errors
///
/// [`GuestError::NoSuchGuest`], as there; [`GuestError::NotPaused`].
///
/// Example: [`Guest`].
pub fn resume_here() -> Result<(), GuestError> {
    if !IS_VCPU.get() {
        return Err(GuestError::NoSuchGuest);
    }
    PAUSES.set(PAUSES.get().checked_sub(1).ok_or(GuestError::NotPaused)?);
    Ok(())
}
