//! The words by which CPUs agree, and those under test, are the simulator's where the core's are: there each access is a
//! scheduling point, and a store may be late.

#[cfg(not(smpcall_sim))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
#[cfg(smpcall_sim)]
pub(crate) use smpcall_sim_atomics::{AtomicU32, AtomicUsize, Ordering};
