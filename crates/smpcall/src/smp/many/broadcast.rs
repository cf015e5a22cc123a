//! A request that hardware brings to those whom it reaches, and a multicast to the rest.
//!
//! # Invariants
//!
//! - **I44** A CPU that is meant counts as reached by hardware only if the port's broadcast has returned `Ok`, and `left_out`, asked
//!   after that, does not name it. Every other one that is meant is called, or counted as offline (P4, P8).
//! - **I45** It is found out once for each CPU whether it is meant, and whether it is left out, lowest first; the multicast begins with the first word of CPUs in
//!   which there is one.

use super::to::To;
use crate::error::ManyError;
use crate::percpu::Storage;
use crate::platform::{Broadcasting, IrqGuard, Platform};
use crate::smp::Smp;

const BITS: u32 = usize::BITS;

/// Whom a broadcast reached ([`Smp::broadcast`]): each CPU that was meant is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broadcast {
    /// CPUs that the hardware reached. Whether they are online is not asked.
    pub by_hardware: u32,
    /// CPUs that it left out, and that were called.
    pub by_call: u32,
    /// CPUs that it left out, and that are offline: there it is not done (P8).
    pub offline: u32,
}

/// Who is left over of those that are meant.
struct Rest<'a, 't, P, Q: ?Sized> {
    platform: &'a P,
    request: &'a Q,
    to: To<'t>,
    /// The caller's CPU, or the number of none.
    own: u32,
    len: u32,
    /// Whether the hardware did anything.
    sent: bool,
    by_hardware: u32,
    /// Where the word begins that was looked at last, and who is left over in it.
    first: u32,
    word: usize,
}

impl<P: Broadcasting<Q>, Q: ?Sized> Rest<'_, '_, P, Q> {
    /// Looks at the word of CPUs that begins with `first`.
    fn look(&mut self, first: u32) {
        let meant = self.meant(first);
        let left_out = match self.sent && meant != 0 {
            // What was not asked for is not answered.
            true => self.platform.left_out(self.request, first, meant) & meant,
            false => meant,
        };
        self.by_hardware += (meant & !left_out).count_ones();
        (self.first, self.word) = (first, left_out);
    }

    fn meant(&mut self, first: u32) -> usize {
        let len = (self.len - first).min(BITS);
        let all = usize::MAX >> (BITS - len);
        match &mut self.to {
            To::All => all,
            To::Others => match self.own.checked_sub(first) {
                Some(bit) if bit < BITS => all & !(1 << bit),
                _ => all,
            },
            // It names nobody that the machine has not: that was demanded.
            To::Mask(mask) => mask.word(first),
            To::If(condition) => {
                (0..len).filter(|bit| condition(first + bit)).fold(0, |word, bit| word | 1 << bit)
            }
        }
    }

    /// Looks word by word, until there is somebody left over. Returns whether there is.
    fn find(&mut self) -> bool {
        (0..self.len).step_by(BITS as usize).any(|first| {
            self.look(first);
            self.word != 0
        })
    }

    /// Whether that CPU is left over. Asked from the word on that `find` stopped at, in order (I45).
    fn has(&mut self, cpu: u32) -> bool {
        if cpu >= self.first + BITS {
            self.look(cpu / BITS * BITS);
        }
        cpu >= self.first && self.word >> (cpu - self.first) & 1 != 0
    }
}

/// What those who are left over are called for.
struct Local<'a, P, Q: ?Sized> {
    platform: &'a P,
    request: &'a Q,
}

// SAFETY: the request is shared (`Q: Sync`); the port by CPUs, which reach it with their machine.
unsafe impl<P, Q: Sync + ?Sized> Sync for Local<'_, P, Q> {}

impl<P: Platform, S: Storage> Smp<P, S> {
    /// Has `request` done on all CPUs that `to` names: by the hardware's broadcast on those that it reaches, without a doorbell, and by a
    /// call of [`Broadcasting::do_here`] on those that it leaves out. When it returns, it is done on all of them that are not counted as offline (P4).
    ///
    /// Who is reached by hardware does not notice: it is not interrupted, whether it sleeps, runs a program in user space, or has interrupts off, and a
    /// [deferred post](Smp::post_deferred) to it stays where it is. So this is less than a call: it waits for nobody who holds
    /// interrupts off, as one who walks page tables without a lock may do, and makes nothing else visible that others wrote. Who needs that calls
    /// ([`Smp::kick_all_cpus_sync`]).
    ///
    /// The hardware may do it on more CPUs than are meant, and on some of them twice.
    ///
    /// Context: if the hardware leaves nobody out, any in which [`Broadcasting::broadcast`] may be called, interrupts off and call context included; else thread,
    /// interrupts on, as for [`Smp::call_many`]. Progress: waits for the hardware, and for those that are called.
    ///
    /// # Errors
    ///
    /// [`ManyError`]; never `Full`. [`NoSuchCpu`](ManyError::NoSuchCpu): nothing was done. [`WouldDeadlock`](ManyError::WouldDeadlock): somebody is left out, and the caller may not wait; where the
    /// hardware reaches, it is done.
    ///
    /// # Panics
    ///
    /// As [`Smp::call_many`], where `do_here` or a condition panics.
    ///
    /// ```
    /// use smpcall::{Broadcast, Broadcasting, CpuMask, ManyError, Smp, Storage, To};
    ///
    /// /// What a kernel asks for: one page.
    /// struct DropPage(usize);
    ///
    /// /// Returns when no user of the address space has the page in its TLB.
    /// fn shoot_down<P, S>(smp: &Smp<P, S>, users: &CpuMask, page: usize) -> Result<Broadcast, ManyError>
    /// where
    ///     P: Broadcasting<DropPage>,
    ///     S: Storage,
    /// {
    ///     smp.broadcast(To::Mask(users), &DropPage(page))
    /// }
    /// ```
    pub fn broadcast<Q: Sync + ?Sized>(&self, to: To<'_>, request: &Q) -> Result<Broadcast, ManyError>
    where
        P: Broadcasting<Q>,
    {
        self.demand_known(&to)?;
        let sent = {
            let _irq = IrqGuard::new(&self.platform);
            self.platform.broadcast(request).is_ok()
        };
        let own = self.here().map_or(u32::MAX, |(cpu, _)| cpu);
        let len = self.cpus_len();
        let mut rest =
            Rest { platform: &self.platform, request, to, own, len, sent, by_hardware: 0, first: 0, word: 0 };
        if !rest.find() {
            return Ok(Broadcast { by_hardware: rest.by_hardware, ..Broadcast::default() });
        }
        let local = Local { platform: &self.platform, request };
        let called = self.call_many(To::If(&mut |cpu| rest.has(cpu)), || {
            let local = &local;
            local.platform.do_here(local.request);
        })?;
        Ok(Broadcast { by_hardware: rest.by_hardware, by_call: called.ran, offline: called.offline })
    }
}
