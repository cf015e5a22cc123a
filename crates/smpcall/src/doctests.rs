//! The code in the documents is compiled and run.

#[doc = include_str!("../../../ARCHITECTURE.md")]
struct Architecture;

/// A detached function fits in three words. That is refused when the call is generated, so there is a port.
///
/// ```compile_fail,E0080
/// use smpcall::{PerCpu, Platform, RingError, Smp};
///
/// struct Port;
///
/// // SAFETY: nothing of this runs.
/// unsafe impl Platform for Port {
///     type IrqState = ();
///     smpcall::no_unwinding!();
///     fn current_cpu(&self) -> Option<u32> { None }
///     fn can_wait(&self) -> bool { false }
///     fn ring(&self, _cpu: u32) -> Result<(), RingError> { Ok(()) }
///     fn irq_save(&self) {}
///     fn irq_restore(&self, _state: ()) {}
///     fn relax(&self) {}
///     fn now_ns(&self) -> u64 { 0 }
/// }
/// smpcall::simple_port!(Port);
///
/// let smp = Smp::new(Port, [PerCpu::new()]);
/// let words = [1_usize; 4];
/// let _ = smp.post_detached(0, move || assert_eq!(words[0], 1));
/// ```
pub struct DetachedTooLarge;
