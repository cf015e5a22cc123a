//! By which groups a multicast is sent; with the feature `relays`, on which machines, and to whom, it is relayed.

#[cfg(feature = "relays")]
mod leader;

#[cfg(not(smpcall_sim))]
use crate::multicast::SLOTS;
use crate::platform::Platform;
#[cfg(all(feature = "relays", not(smpcall_sim)))]
use crate::relay::RELAYED_MIN;
use core::marker::PhantomData;

/// How the machines of a port relay. (Simulated ones say so themselves, so that a few CPUs are enough for relays; slots beyond the
/// group's size have none there.)
pub(in crate::smp) struct Relaying<P>(PhantomData<P>);

impl<P: Platform> Relaying<P> {
    /// How many CPUs are a group: one for each slot.
    #[cfg(not(smpcall_sim))]
    pub(in crate::smp) const GROUP: u32 = SLOTS as u32;
    #[cfg(smpcall_sim)]
    pub(in crate::smp) const GROUP: u32 = P::GROUP;

    /// How many CPUs of a group must be meant before they are left to a leader.
    #[cfg(all(feature = "relays", not(smpcall_sim)))]
    pub(in crate::smp) const MIN: u32 = RELAYED_MIN;
    #[cfg(all(feature = "relays", smpcall_sim))]
    pub(in crate::smp) const MIN: u32 = P::RELAYED_MIN;

    /// On how many CPUs a machine begins to relay.
    #[cfg(feature = "relays")]
    pub(in crate::smp) const CPUS: u32 = 2 * Self::GROUP;
}
