//! The machine as its port has it: what may bring its CPUs up, and flush them.

use super::Smp;
use super::flush::{Budget, Flushed};
use crate::error::CpuCountError;
use crate::percpu::{CPUS_MAX, PerCpu, Storage};
use crate::platform::Platform;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::pin::Pin;

/// A machine, in the hands of its port: up to [`CPUS_MAX`] CPUs that run functions for one another.
///
/// `P` is the port, `S` the memory that the user hands in. What any thread may ask of it is [`Smp`], to which it dereferences. Here
/// is the rest, which is for the code that makes CPUs of threads and handlers of doorbells: how a CPU [comes online](Machine::online),
/// by which its thread has its handle, a [`Cpu`](crate::Cpu), and the [flush](Machine::flush) of a doorbell's handler. A kernel has
/// its machine in a `static`; a library whose users are to post and no more, hands out the [`Smp`].
///
/// Its CPUs come online once it is pinned, since what is queued points into it: in a `static` ([`Machine::as_pin`]), or by
/// `Box::pin`, `Arc::pin`, `pin!`.
///
/// A machine that is dropped while CPUs are online takes with it what is queued: such a csd stays locked for ever.
///
/// ```compile_fail,E0624
/// # use smpcall::{Budget, Platform, Smp, Storage};
/// fn any_thread<P: Platform, S: Storage>(smp: &Smp<P, S>) {
///     smp.flush(Budget::DEFAULT); // method `flush` is private: a CPU's thread has it by its handle
/// }
/// ```
#[derive(Debug)]
pub struct Machine<P, S> {
    smp: Smp<P, S>,
}

impl<P, S> Deref for Machine<P, S> {
    type Target = Smp<P, S>;

    #[inline(always)]
    fn deref(&self) -> &Smp<P, S> {
        &self.smp
    }
}

impl<P: Platform, const N: usize> Machine<P, [PerCpu; N]> {
    crate::sync::const_unless_loom! {
        /// Makes a machine of `N` CPUs, all offline, in a `static` if one likes.
        ///
        /// # Panics
        ///
        /// If `N` is 0 or more than [`CPUS_MAX`]; for a `static`, when it is compiled.
        pub fn new(platform: P, storage: [PerCpu; N]) -> Self {
            assert!(N >= 1 && N <= CPUS_MAX, "a machine has 1 to 8192 CPUs");
            Self { smp: Smp::new(platform, storage) }
        }
    }
}

impl<P: Platform, S: Storage> Machine<P, S> {
    /// Makes a machine of as many CPUs as `storage` has, all offline.
    ///
    /// # Errors
    ///
    /// [`CpuCountError`] if that is 0 or more than [`CPUS_MAX`].
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use one::One as MyPort;
    /// use smpcall::{CpuCountError, Machine, PerCpu};
    ///
    /// /// As many CPUs as the firmware has found, in memory that is the kernel's for ever.
    /// fn machine(memory: &'static mut [PerCpu]) -> Result<Machine<MyPort, &'static mut [PerCpu]>, CpuCountError> {
    ///     Machine::with_storage(MyPort, memory)
    /// }
    ///
    /// let memory = Box::leak(Box::new([const { PerCpu::new() }; 3]));
    /// assert_eq!(machine(memory).unwrap().cpus_len(), 3);
    /// assert_eq!(machine(&mut []).unwrap_err(), CpuCountError { asked: 0 });
    /// ```
    pub fn with_storage(platform: P, storage: S) -> Result<Self, CpuCountError> {
        match storage.cpus().len() {
            1..=CPUS_MAX => Ok(Self { smp: Smp::new(platform, storage) }),
            asked => Err(CpuCountError { asked }),
        }
    }

    /// As [`Machine::with_storage`], in the place where it is to stay, and never on the stack: a machine has some thousand bytes, and
    /// a kernel's first stack may have no more.
    ///
    /// # Errors
    ///
    /// As for [`Machine::with_storage`].
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use one::One as MyPort;
    /// use core::mem::MaybeUninit;
    /// use smpcall::{Machine, PerCpu};
    ///
    /// // A kernel has the place in a `static`, which it borrows once.
    /// let place: &'static mut MaybeUninit<Machine<MyPort, [PerCpu; 2]>> = Box::leak(Box::new_uninit());
    /// let machine = Machine::emplace(place, MyPort, [const { PerCpu::new() }; 2]).unwrap();
    /// let cpu = machine.online().unwrap(); // it is pinned
    /// assert_eq!(cpu.number(), 0);
    /// ```
    pub fn emplace(
        place: &'static mut MaybeUninit<Self>,
        platform: P,
        storage: S,
    ) -> Result<Pin<&'static Self>, CpuCountError> {
        let asked = storage.cpus().len();
        if !(1..=CPUS_MAX).contains(&asked) {
            return Err(CpuCountError { asked });
        }
        // SAFETY: the place is ours, and `Smp::emplace` fills all of it.
        unsafe {
            Smp::emplace(&raw mut (*place.as_mut_ptr()).smp, platform, storage);
            Ok(Pin::static_ref(place.assume_init_ref()))
        }
    }

    /// Returns the machine as pinned, which one in a `static` is.
    ///
    /// ```
    /// # use smpcall::{Machine, PerCpu, Platform};
    /// fn come_online<P: Platform>(machine: &'static Machine<P, [PerCpu; 4]>) {
    ///     let mut cpu = machine.as_pin().online().expect("this CPU was offline");
    ///     cpu.poll_begin();
    /// }
    /// ```
    pub fn as_pin(&'static self) -> Pin<&'static Self> {
        Pin::static_ref(self)
    }

    /// Runs what was posted to the CPU that runs the caller, oldest first, and calls that somebody waits for before the
    /// others (P6).
    ///
    /// To be called from the doorbell's interrupt handler, after it was acknowledged; an idle or event loop has its CPU's handle, and
    /// [`Cpu::flush`](crate::Cpu::flush). Looks first: on an empty queue it costs two loads and writes nothing. Takes lazy posts
    /// along, once; calls that may block it hands to the CPU's thread, for that other flush, and counts them as run.
    ///
    /// Context: thread or interrupt of a CPU of this machine, not an NMI; from call context it returns at once. The
    /// functions run with the irq guard held. Progress: at most `budget` functions.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// use smpcall::{Budget, Flushed, Machine, Platform, Storage};
    ///
    /// /// The doorbell's interrupt handler.
    /// fn on_interrupt<P: Platform, S: Storage>(machine: &Machine<P, S>, acknowledge: impl Fn()) -> Flushed {
    ///     acknowledge(); // first: what rings from here on interrupts again
    ///     machine.flush(Budget::DEFAULT)
    /// }
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// # smp.post_detached(0, || ()).unwrap();
    /// # assert_eq!(on_interrupt(&smp, || ()), Flushed::All(1));
    /// ```
    #[inline]
    pub fn flush(&self, budget: Budget) -> Flushed {
        self.smp.flush(budget)
    }

    /// Returns whether a flush of the CPU that runs the caller would find anything: for an idle loop that has no handle
    /// ([`Cpu::has_work`](crate::Cpu::has_work)). Writes nothing.
    ///
    /// Context: any. Progress: wait-free.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use smpcall::Budget;
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// assert!(!smp.has_work_here());
    /// smp.post_detached(0, || ()).unwrap();
    /// assert!(smp.has_work_here()); // the idle loop does not go to sleep
    /// let _ = smp.flush(Budget::DEFAULT);
    /// assert!(!smp.has_work_here());
    /// ```
    #[inline]
    pub fn has_work_here(&self) -> bool {
        self.smp.has_work_here()
    }

    /// As [`Machine::flush`], without its irq guard: for a doorbell's handler that runs with local interrupts off anyway.
    ///
    /// # Safety
    ///
    /// Local interrupts are off, as after [`irq_save`](Platform::irq_save), until this returns.
    ///
    /// ```
    /// # #[macro_use] mod one { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/one.rs")); }
    /// # use smpcall::{Budget, Flushed, Machine, Platform, Storage};
    /// /// An interrupt handler, on a machine that enters those with interrupts off.
    /// ///
    /// /// # Safety
    /// ///
    /// /// Local interrupts are off until it returns.
    /// unsafe fn on_interrupt<P: Platform, S: Storage>(machine: &Machine<P, S>) -> Flushed {
    ///     // SAFETY: the caller's promise.
    ///     unsafe { machine.flush_guarded(Budget::DEFAULT) }
    /// }
    /// # let smp = one::machine(one::One);
    /// # let _cpu = smp.as_ref().online().unwrap();
    /// # smp.post_detached(0, || ()).unwrap();
    /// # // SAFETY: there are no interrupts.
    /// # assert_eq!(unsafe { on_interrupt(&smp) }, Flushed::All(1));
    /// ```
    #[inline]
    pub unsafe fn flush_guarded(&self, budget: Budget) -> Flushed {
        self.smp.flush_guarded(budget)
    }
}
