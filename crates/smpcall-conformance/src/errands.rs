//! What a case has the rig do: interrupts and NMIs. An errand that the rig loses, runs twice or returns before is the rig's
//! fault, and is reported by the name of its method: what follows from it would point at the port.

use crate::ctx::Ctx;
use crate::rig::Rig;
use crate::words::Count;

impl<R: Rig> Ctx<R> {
    /// Raises an NMI on this CPU whose handler calls `f`. `false`: there is none.
    #[track_caller]
    pub(crate) fn nmi(self, f: &(dyn Fn() + Sync)) -> bool {
        self.errand(f, |f| self.rig().nmi(f), "runs of a function of Rig::nmi by its return")
    }

    /// Raises an interrupt on this CPU whose handler calls `f`. `false`: there is none.
    #[track_caller]
    pub(crate) fn interrupt(self, f: &(dyn Fn() + Sync)) -> bool {
        self.errand(f, |f| self.rig().interrupt(f), "runs of a function of Rig::interrupt by its return")
    }

    #[track_caller]
    fn errand(
        self,
        f: &(dyn Fn() + Sync),
        raise: impl FnOnce(&(dyn Fn() + Sync)) -> bool,
        what: &'static str,
    ) -> bool {
        let (began, ended) = (Count::new(), Count::new());
        let raised = raise(&|| {
            // At once, since what follows from a second run would be the case's first failure.
            match began.add(1) {
                0 => f(),
                before => self.note_same(before + 1, 1, what),
            }
            ended.add(1);
        });
        let want = u32::from(raised);
        self.note_same((began.get(), ended.get()), (want, want), what);
        raised
    }
}
