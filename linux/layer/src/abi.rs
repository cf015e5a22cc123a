// SPDX-License-Identifier: GPL-2.0-only
//! What the glue calls. Preemption is off in all of these but, with the feature `preemptible`, those that wait; none is called before
//! [`smpcall_init`].

use crate::glue::{self, NO_ROOM};
use crate::port::{as_going, machine, put};
use core::ffi::{c_char, c_int, c_void};
use core::num::NonZeroU32;
use core::sync::atomic::Ordering;
use smpcall::{
    Awaits, Budget, CallError, CpuMask, DetachedError, Entry, ForeignCsd, ManyError, PerCpu,
    Platform, Posted, To,
};

/// Linux's errno of what we say in our own words.
const EBUSY: c_int = -16;
const ENXIO: c_int = -6;
const EDEADLK: c_int = -35;

/// How much a flush does, about, before the CPU gets a turn; then it has rung itself. Linux takes what is there, and no more.
const BUDGET: Budget = Budget::calls(NonZeroU32::new(8192).unwrap());

/// How many looks for room between two looks at the clock.
const LOOKS: u32 = 1 << 10;

/// A `smp_call_func_t` and its argument. That it may run on any CPU, and at the same time on several, is what who passes one to
/// this layer says.
#[derive(Clone, Copy)]
struct Call(*const (), *const ());

// SAFETY: as above.
unsafe impl Send for Call {}
// SAFETY: as above.
unsafe impl Sync for Call {}

impl Call {
    /// As the core takes it: one type of function for all shapes of calls.
    #[inline(always)]
    fn function(self) -> impl Fn() + Copy + Send + Sync + 'static {
        move || {
            // Moved as a whole: its two pointers by themselves are not `Send`.
            let Self(func, info) = { self };
            // SAFETY: irqs are off in call context, and the two belong together.
            unsafe { glue::smpcall_glue_run(func, info, core::ptr::null()) }
        }
    }
}

/// The version, for the boot line.
#[unsafe(no_mangle)]
extern "C" fn smpcall_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// How much memory so many CPUs take.
#[unsafe(no_mangle)]
extern "C" fn smpcall_bytes(cpus: u32) -> usize {
    cpus as usize * size_of::<PerCpu>()
}

/// Makes the machine.
///
/// # Safety
///
/// Called once, by the boot CPU, before everything else here; `memory` is ours for ever, 128-aligned, and has
/// `smpcall_bytes(cpus)` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_init(memory: *mut c_void, cpus: u32) {
    let first = memory.cast::<PerCpu>();
    for at in 0..cpus as usize {
        // SAFETY: within the memory, which is ours.
        unsafe { first.add(at).write(const { PerCpu::new() }) };
    }
    // SAFETY: just written; nobody else has it.
    let storage = unsafe { core::slice::from_raw_parts_mut(first, cpus as usize) };
    // SAFETY: the caller's promise.
    unsafe { put(storage) };
}

/// The CPU takes calls from now on.
#[unsafe(no_mangle)]
extern "C" fn smpcall_online() {
    let _handle = machine().as_pin().online().expect("a CPU comes online once");
}

/// The CPU takes no more calls, and has run those that it took (P8).
#[unsafe(no_mangle)]
extern "C" fn smpcall_offline() {
    as_going(|| {
        let handle = machine().as_pin().this_cpu().expect("a CPU that was online, and is in no call");
        let _ran = handle.offline().expect("as above");
    });
}

/// Runs what is queued, with irqs off.
#[unsafe(no_mangle)]
extern "C" fn smpcall_flush() {
    // SAFETY: the glue calls this with irqs off. `More` has rung.
    let _ = unsafe { machine().flush_guarded(BUDGET) };
}

/// Whether there is anything to flush: for the idle loop, which writes nothing if not.
#[unsafe(no_mangle)]
extern "C" fn smpcall_has_work() -> bool {
    machine().has_work_here()
}

/// Waits until `func` has run on another CPU.
///
/// # Safety
///
/// `func` may be called there with `info`, irqs off.
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_call(cpu: u32, func: *const (), info: *const ()) -> c_int {
    match machine().call(cpu, Call(func, info).function()) {
        Ok(()) => 0,
        Err(CallError::WouldDeadlock) => EDEADLK,
        Err(_) => ENXIO,
    }
}

/// Has `func` run on another CPU, and does not wait for it; only, if need be, for one of the places at its target.
///
/// # Safety
///
/// As for [`smpcall_call`].
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_send(cpu: u32, func: *const (), info: *const ()) -> c_int {
    let function = Call(func, info).function();
    let mut room = Room::new(cpu);
    loop {
        match machine().post_detached(cpu, function) {
            Ok(()) => return 0,
            Err(DetachedError::Full) => room.wait(),
            Err(_) => return ENXIO,
        }
    }
}

/// Posts a csd (P1–P3, P5, P6, P8). To the caller's own CPU it runs at once, if nothing is queued there.
///
/// # Safety
///
/// As `smp_call_function_single_async` demands: from 0 until its function begins it stays where it is, and its fields what they
/// are, and that function may be called with its argument.
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_post(cpu: u32, csd: *const ForeignCsd) -> c_int {
    let errno = |answer| match answer {
        Ok(Posted::Queued) => 0,
        Ok(Posted::Busy { .. }) => EBUSY,
        // Offline, or no such CPU: nobody cancels these.
        Err(_) => ENXIO,
    };
    // SAFETY: the caller's promise; preemption is off.
    unsafe { machine().post_foreign_or_run(cpu, &*csd, errno) }
}

/// Queues an irq_work or a task wake-up; `false` if the CPU is offline.
///
/// # Safety
///
/// The node is in no queue and its claim the caller's; it stays alive and in place until it was run, and lies in an `irq_work` or
/// a `task_struct`.
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_push(cpu: u32, entry: *const Entry) -> bool {
    // SAFETY: the caller's promise; the glue has asserted the layouts.
    unsafe { machine().push_entry(cpu, &*entry) }
}

/// Has `func` run on the CPUs of a mask of `words` words, of which the caller's own is none; waits for them if `wait`.
///
/// # Safety
///
/// As for [`smpcall_call`], on each of them; `mask` names CPUs that the machine has.
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_many(
    mask: *const usize,
    words: usize,
    func: *const (),
    info: *const (),
    wait: bool,
) -> c_int {
    // SAFETY: the caller's words, for as long as this call.
    let mask = CpuMask::from_words(unsafe { core::slice::from_raw_parts(mask, words) });
    let function = Call(func, info).function();
    let awaits = if wait { Awaits::Everybody } else { Awaits::Nobody };
    let mut room = None;
    loop {
        match machine().many_copied(To::Mask(mask), awaits, function) {
            Ok(_) => return 0,
            Err(ManyError::Full) => {
                room.get_or_insert_with(|| Room::new(mask.iter().next().unwrap_or(0))).wait();
            }
            Err(ManyError::WouldDeadlock) => return EDEADLK,
            // A mask of other CPUs than this machine's.
            Err(_) => return ENXIO,
        }
    }
}

/// Has `func` run on the CPUs of a mask, and waits for them; between the doorbells and the wait the glue does the caller's own part, `own`, by which
/// preemption may be switched on. With an error, it has not.
///
/// # Safety
///
/// As for [`smpcall_many`]; `own` is what the glue's `smpcall_glue_own_part` expects.
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_many_and_own(
    mask: *const usize,
    words: usize,
    func: *const (),
    info: *const (),
    own: *const (),
) -> c_int {
    // SAFETY: the caller's words, for as long as this call.
    let mask = CpuMask::from_words(unsafe { core::slice::from_raw_parts(mask, words) });
    // SAFETY: the caller's promise.
    let own_part = || unsafe { glue::smpcall_glue_own_part(own) };
    match machine().call_many_copied_meanwhile(To::Mask(mask), Call(func, info).function(), own_part) {
        Ok(_) => 0,
        Err(ManyError::WouldDeadlock) => EDEADLK,
        // A mask of other CPUs than this machine's.
        Err(_) => ENXIO,
    }
}

/// Whether anything is queued for a CPU of the mask, or was a moment ago.
///
/// # Safety
///
/// The mask has `words` words, and names CPUs that the machine has.
#[unsafe(no_mangle)]
unsafe extern "C" fn smpcall_is_pending(mask: *const usize, words: usize) -> bool {
    // SAFETY: the caller's words, for as long as this call.
    let mask = CpuMask::from_words(unsafe { core::slice::from_raw_parts(mask, words) });
    machine().is_pending_racy(mask)
}

/// How many waits are reported and not over.
#[unsafe(no_mangle)]
extern "C" fn smpcall_stalled() -> usize {
    machine().stalled_waits_racy()
}

/// A wait for room, where Linux waits for the caller's last such call: with irqs on, or it may be for ever.
struct Room {
    target: u32,
    looks: u32,
    since_ns: u64,
    reports: u32,
}

impl Room {
    fn new(target: u32) -> Self {
        Self { target, looks: 0, since_ns: 0, reports: 0 }
    }

    #[cold]
    fn wait(&mut self) {
        machine().platform().relax();
        self.looks = self.looks.wrapping_add(1);
        if !self.looks.is_multiple_of(LOOKS) {
            return;
        }
        let now_ns = glue::smpcall_glue_now_ns();
        if self.since_ns == 0 {
            self.since_ns = now_ns;
        }
        // Relaxed: a setting.
        let timeout_ns = glue::smpcall_glue_timeout_ns.load(Ordering::Relaxed);
        let waited_ns = now_ns.saturating_sub(self.since_ns);
        if timeout_ns != 0 && waited_ns > timeout_ns << self.reports.min(20) {
            glue::smpcall_glue_stalled(self.target, NO_ROOM, 1, waited_ns, self.reports);
            self.reports += 1;
        }
    }
}
