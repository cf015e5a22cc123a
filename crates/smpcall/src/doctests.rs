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
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// let words = [1_usize; 4];
/// let _ = smp.post_detached(0, move || assert_eq!(words[0], 1));
/// ```
pub struct DetachedTooLarge;

/// Where other CPUs cannot see a stack, nothing lies there: a waiting call has its frame in a slot.
///
/// ```no_run
/// use smpcall::{Machine, PerCpu, Platform, RingError, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SHARED_STACKS: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// static SLOT: smpcall::CallSlot = smpcall::CallSlot::new();
/// let _ = smp.call_in(&SLOT, 0, || 1);
/// let _ = smp.call_many_copied(smpcall::To::All, || ());
/// let _ = smp.kick_all_cpus_sync();
/// ```
pub struct UnsharedStacks;

/// A frame on the stack is refused there,
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SHARED_STACKS: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// let _ = smp.call(0, || 1);
/// ```
pub struct UnsharedStackCall;

/// one of a call that may block,
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SHARED_STACKS: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// let _ = smp.call_blocking(0, || 1);
/// ```
pub struct UnsharedStackBlocking;

/// a function that a multicast borrows,
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SHARED_STACKS: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// let _ = smp.call_many(smpcall::To::All, || ());
/// ```
pub struct UnsharedStackMany;

/// the results of a map,
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SHARED_STACKS: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// let _ = smp.call_map(smpcall::To::All, &mut [None], |cpu| cpu);
/// ```
pub struct UnsharedStackMap;

/// and an owner that is pinned there.
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SHARED_STACKS: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// struct Visit { csd: smpcall::CsdField }
/// smpcall::csd_field! { impl Visit { csd } }
/// let _ = smp.pinned::<Visit, ()>(Visit { csd: smpcall::CsdField::new() });
/// ```
pub struct UnsharedStackPinned;

/// A slot has room, or the call is refused.
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SHARED_STACKS: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Tuning, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// static SLOT: smpcall::CallSlot<1> = smpcall::CallSlot::new();
/// let _ = smp.call_in(&SLOT, 0, || [1_usize; 2]);
/// ```
pub struct SlotTooSmall;

/// A port that has said that something is never used has the rest,
///
/// ```no_run
/// use smpcall::{Machine, PerCpu, Platform, RingError, Tuning, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SERVES_IN_WAITS: bool = false;
/// }
/// impl Tuning for Port {
///     const LAZY_POSTS: bool = false;
///     const POLLS: bool = false;
///     const BLOCKING_CALLS: bool = false;
///     const LEAVES_OVER: bool = false;
///     const RINGS_FAIL: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// static CSD: smpcall::Csd<fn()> = smpcall::Csd::new(|| ());
/// let _ = smp.post(0, &CSD);
/// let _ = smp.call(0, || 1);
/// ```
///
/// and no lazy posts,
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Tuning, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SERVES_IN_WAITS: bool = false;
/// }
/// impl Tuning for Port {
///     const LAZY_POSTS: bool = false;
///     const POLLS: bool = false;
///     const BLOCKING_CALLS: bool = false;
///     const LEAVES_OVER: bool = false;
///     const RINGS_FAIL: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// static CSD: smpcall::Csd<fn()> = smpcall::Csd::new(|| ());
/// let _ = smp.post_lazy(0, &CSD);
/// ```
///
/// nor calls that may block.
///
/// ```compile_fail,E0080
/// use smpcall::{Machine, PerCpu, Platform, RingError, Tuning, Waiting};
///
/// struct Port;
///
/// impl Waiting for Port {
///     const SERVES_IN_WAITS: bool = false;
/// }
/// impl Tuning for Port {
///     const LAZY_POSTS: bool = false;
///     const POLLS: bool = false;
///     const BLOCKING_CALLS: bool = false;
///     const LEAVES_OVER: bool = false;
///     const RINGS_FAIL: bool = false;
/// }
/// smpcall::simple_port!(Port: Reporting, Tracing, Topology, Foreign, Hosting);
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
///
/// let smp = Machine::new(Port, [PerCpu::new()]);
/// static CSD: smpcall::Csd<fn()> = smpcall::Csd::new(|| ());
/// let _ = smp.call_blocking(0, || 1);
/// ```
pub struct NeverUsed;
