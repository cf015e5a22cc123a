//! The code in the documents is compiled and run.

#[doc = include_str!("../../../ARCHITECTURE.md")]
struct Architecture;

/// A program in a document: a port, which implements these extensions by itself and lists those, a machine of one CPU, and what is done with it.
macro_rules! program {
    ($kind:literal, $own:literal, $listed:literal, $($done:literal)*) => {
        concat!(
            "```", $kind, "\n",
            "use smpcall::*;\n\nstruct Port;\n\n", $own,
            "smpcall::simple_port!(Port", $listed, ");\n\n",
            "// SAFETY: nothing of this runs.\nunsafe impl Platform for Port {\n",
            "    type IrqState = ();\n    smpcall::no_unwinding!();\n",
            "    fn current_cpu(&self) -> Option<u32> { None }\n    fn can_wait(&self) -> bool { false }\n",
            "    fn ring(&self, _cpu: u32) -> Result<(), RingError> { Ok(()) }\n",
            "    fn irq_save(&self) {}\n    fn irq_restore(&self, _state: ()) {}\n",
            "    fn relax(&self) {}\n    fn now_ns(&self) -> u64 { 0 }\n}\n\n",
            "let smp = Machine::new(Port, [PerCpu::new()]);\n", $($done, "\n",)* "```\n",
        )
    };
}

/// One whose stacks other CPUs cannot see.
macro_rules! unshared {
    ($kind:literal, $($done:literal)*) => {
        program!(
            $kind,
            "impl Waiting for Port {\n    const SHARED_STACKS: bool = false;\n}\n",
            ": Reporting, Tracing, Topology, Tuning, Foreign, Hosting",
            $($done)*
        )
    };
}

/// One that says that it never uses what a port need not.
macro_rules! leaves_out {
    ($kind:literal, $($done:literal)*) => {
        program!(
            $kind,
            "impl Waiting for Port {\n    const SERVES_IN_WAITS: bool = false;\n}\nimpl Tuning for Port {\n\
             const LAZY_POSTS: bool = false;\nconst POLLS: bool = false;\nconst BLOCKING_CALLS: bool = false;\n\
             const LEAVES_OVER: bool = false;\nconst RINGS_FAIL: bool = false;\n}\n",
            ": Reporting, Tracing, Topology, Foreign, Hosting",
            $($done)*
        )
    };
}

/// A detached function fits in three words,
///
#[doc = program!(
    "no_run", "", "",
    "let words = [1_usize; 3];"
    "let _ = smp.post_detached(0, move || assert_eq!(words[0], 1));"
)]
///
/// and no more. That is refused when the call is generated, so there is a port.
///
#[doc = program!(
    "compile_fail,E0080", "", "",
    "let words = [1_usize; 4];"
    "let _ = smp.post_detached(0, move || assert_eq!(words[0], 1));"
)]
pub struct DetachedTooLarge;

/// Where other CPUs cannot see a stack, nothing lies there: a waiting call has its frame in a slot.
///
#[doc = unshared!(
    "no_run",
    "static SLOT: smpcall::CallSlot = smpcall::CallSlot::new();"
    "let _ = smp.call_in(&SLOT, 0, || 1);"
    "let _ = smp.call_many_copied(smpcall::To::All, || ());"
    "let _ = smp.kick_all_cpus_sync();"
)]
pub struct UnsharedStacks;

/// A frame on the stack is refused there,
///
#[doc = unshared!("compile_fail,E0080", "let _ = smp.call(0, || 1);")]
pub struct UnsharedStackCall;

/// one of a call that may block,
///
#[doc = unshared!("compile_fail,E0080", "let _ = smp.call_blocking(0, || 1);")]
pub struct UnsharedStackBlocking;

/// a function that a multicast borrows,
///
#[doc = unshared!("compile_fail,E0080", "let _ = smp.call_many(smpcall::To::All, || ());")]
pub struct UnsharedStackMany;

/// the results of a map,
///
#[doc = unshared!("compile_fail,E0080", "let _ = smp.call_map(smpcall::To::All, &mut [None], |cpu| cpu);")]
pub struct UnsharedStackMap;

/// and an owner that is pinned there.
///
#[doc = unshared!(
    "compile_fail,E0080",
    "struct Visit { csd: smpcall::CsdField }"
    "smpcall::csd_field! { impl Visit { csd } }"
    "let _ = smp.pinned::<Visit, ()>(Visit { csd: smpcall::CsdField::new() });"
)]
pub struct UnsharedStackPinned;

/// A slot has room, or the call is refused.
///
#[doc = unshared!(
    "compile_fail,E0080",
    "static SLOT: smpcall::CallSlot<1> = smpcall::CallSlot::new();"
    "let _ = smp.call_in(&SLOT, 0, || [1_usize; 2]);"
)]
pub struct SlotTooSmall;

/// A port that has said that something is never used has the rest,
///
#[doc = leaves_out!(
    "no_run",
    "static CSD: smpcall::Csd<fn()> = smpcall::Csd::new(|| ());"
    "let _ = smp.post(0, &CSD);"
    "let _ = smp.call(0, || 1);"
)]
///
/// and no lazy posts,
///
#[doc = leaves_out!(
    "compile_fail,E0080",
    "static CSD: smpcall::Csd<fn()> = smpcall::Csd::new(|| ());"
    "let _ = smp.post_lazy(0, &CSD);"
)]
///
/// nor calls that may block.
///
#[doc = leaves_out!(
    "compile_fail,E0080",
    "static CSD: smpcall::Csd<fn()> = smpcall::Csd::new(|| ());"
    "let _ = smp.call_blocking(0, || 1);"
)]
pub struct NeverUsed;
