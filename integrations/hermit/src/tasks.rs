//! Tasks of Hermit's, each on a core of its own.

use core::ffi::c_void;
use hermit::syscalls::sys_spawn2;

/// The priority that Hermit's own program has.
const NORMAL: u8 = 2;
/// The conformance suite keeps some large things there.
const STACK_BYTES: usize = 1 << 20;

/// Starts `f` on that core.
pub(crate) fn spawn(core: u32, f: fn()) {
    unsafe extern "C" fn start(f: usize) {
        // SAFETY: `spawn` has made this of a function.
        let f: fn() = unsafe { core::mem::transmute::<*const c_void, fn()>(f as *const c_void) };
        f();
    }
    // SAFETY: `start` is what its argument is for.
    unsafe { sys_spawn2(start, f as usize, NORMAL, STACK_BYTES, core as isize) };
}
