//! How a machine's own threads are started: with which name and stack, on which core, and with the program's signals blocked.

use super::options::BuildError;
use super::placement::{Placement, PlacementWarning};
use super::{Machine, Shared};
use crate::affinity::{keep_on, pin_this_thread};
use crate::trace::Trace;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};

pub(super) type OnStart = Arc<dyn Fn(u32) + Send + Sync>;

/// What the machine's own threads are like.
pub(super) struct Threads {
    pub(super) name: Box<dyn Fn(u32) -> String + Send + Sync>,
    pub(super) stack_size: Option<usize>,
    pub(super) on_start: Option<OnStart>,
}

impl Threads {
    pub(super) fn new() -> Self {
        Self { name: Box::new(|cpu| format!("smpcall-{cpu}")), stack_size: None, on_start: None }
    }
}

/// Where a thread is to run.
#[derive(Clone)]
pub(super) enum Place {
    /// On this core, or not at all.
    Core(usize),
    /// On the first, or, if the kernel does not have it, on any of the others.
    CoreOr(usize, Arc<[usize]>),
    /// On any of these, whatever the thread that starts it is kept on; none: wherever that may run.
    Any(Arc<[usize]>),
}

impl Place {
    /// The core that the thread is to be kept on.
    pub(super) fn core(&self) -> Option<usize> {
        match self {
            Self::Core(core) | Self::CoreOr(core, _) => Some(*core),
            Self::Any(_) => None,
        }
    }
}

/// Starts a thread for each of `places`; CPUs that came online are in `placement` then. If one fails, dropping the machine ends
/// those that have started.
pub(super) fn start<T: Trace>(
    machine: &Machine<T>,
    threads: Threads,
    places: &[Place],
    placement: &mut Placement,
) -> Result<(), BuildError> {
    let names: Vec<String> = (0..places.len() as u32).map(&threads.name).collect();
    if names.iter().any(|name| name.contains('\0')) {
        return Err(BuildError::Spawn(std::io::ErrorKind::InvalidInput.into()));
    }
    let (started, starts) = mpsc::channel();
    {
        // Threads inherit the mask, so that there is no moment at which a signal could find one with the signal open.
        let _blocked = SignalsBlocked::now();
        for ((cpu, name), place) in (0..).zip(names).zip(places.iter().cloned()) {
            let (shared, started) = (Arc::clone(&machine.shared), started.clone());
            let on_start = threads.on_start.clone();
            let mut builder = std::thread::Builder::new().name(name);
            if let Some(size) = threads.stack_size {
                builder = builder.stack_size(size);
            }
            machine.shared.ends.begin(cpu);
            let thread = builder.spawn(move || run(&shared, cpu, &place, on_start, &started));
            let thread = thread.map_err(|error| {
                // Nobody waits yet.
                machine.shared.ends.end(cpu);
                BuildError::Spawn(error)
            })?;
            machine.threads.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(thread);
        }
    }
    for _ in places {
        let (cpu, kept) = starts.recv().expect("every thread reports before it ends");
        match (kept?, &places[cpu as usize]) {
            (Kept::Core(core), _) => placement.cores[cpu as usize] = Some(core),
            (Kept::Refused(error), Place::CoreOr(core, _)) => {
                let (core, error) = (*core, error.to_string());
                placement.refused.push(PlacementWarning::NotKept { cpu, core, error });
            }
            (Kept::Nowhere | Kept::Refused(_), _) => {}
        }
    }
    Ok(())
}

/// What came of a thread's place.
enum Kept {
    Core(usize),
    Nowhere,
    Refused(std::io::Error),
}

type Started = mpsc::Sender<(u32, Result<Kept, BuildError>)>;

/// What a thread of the machine's own does from its start to its end.
fn run<T: Trace>(
    shared: &Arc<Shared<T>>,
    cpu: u32,
    place: &Place,
    on_start: Option<OnStart>,
    started: &Started,
) {
    shared.begin_thread(cpu);
    // The receiver is gone only if another CPU failed to start.
    let report = |result| _ = started.send((cpu, result));
    let kept = match keep(place) {
        Ok(kept) => kept,
        Err(error) => return report(Err(error)),
    };
    let core = if let Kept::Core(core) = kept { Some(core) } else { None };
    shared.become_cpu(cpu, core);
    if let Some(on_start) = on_start {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| on_start(cpu))) {
            return report(Err(BuildError::OnStart { cpu, panic: message(panic) }));
        }
    }
    shared.run_cpu(cpu, || report(Ok(kept)));
}

fn keep(place: &Place) -> Result<Kept, BuildError> {
    match place {
        &Place::Core(core) => match pin_this_thread(core) {
            Ok(()) => Ok(Kept::Core(core)),
            Err(error) => Err(BuildError::Pin { core, error }),
        },
        Place::CoreOr(core, others) => match pin_this_thread(*core) {
            Ok(()) => Ok(Kept::Core(*core)),
            Err(error) => {
                // If none of them can be had either, it stays where the scheduler runs it.
                let _ = keep_on(others);
                Ok(Kept::Refused(error))
            }
        },
        Place::Any(cores) => {
            // As above; also if none is known.
            let _ = keep_on(cores);
            Ok(Kept::Nowhere)
        }
    }
}

/// The text of a panic.
fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    if let Err(worse) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // The payload's own drop panicked. There is nothing left to do with it.
        std::mem::forget(worse);
    }
    text.unwrap_or_else(|| "something that is no text".to_owned())
}

/// The calling thread's signals blocked, but for those that a thread brings upon itself, until this is dropped.
pub(super) struct SignalsBlocked(Option<SigSet>);

impl SignalsBlocked {
    pub(super) fn now() -> Self {
        let mut signals = SigSet::all();
        for own in
            [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGTRAP, Signal::SIGSYS]
        {
            signals.remove(own);
        }
        // An error could only be a bad argument, which a block is not.
        Self(signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok())
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            // As above.
            let _ = before.thread_set_mask();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affinity::{allowed_cores, on_one_core, process_cores};

    #[test]
    fn a_core_that_is_refused_after_all_leaves_the_thread_on_the_others() {
        on_one_core(|_| {
            let all: Arc<[usize]> = process_cores().into();
            let kept = keep(&Place::CoreOr(usize::MAX, Arc::clone(&all)));
            assert!(matches!(kept, Ok(Kept::Refused(_))));
            assert_eq!(allowed_cores(), &*all);
            assert!(matches!(keep(&Place::Core(usize::MAX)), Err(BuildError::Pin { core: usize::MAX, .. })));
            assert!(
                matches!(keep(&Place::CoreOr(all[0], Arc::clone(&all))), Ok(Kept::Core(core)) if core == all[0])
            );
            assert_eq!(allowed_cores(), [all[0]]);
            assert!(matches!(keep(&Place::Any(Arc::default())), Ok(Kept::Nowhere)), "if nothing is known");
            assert_eq!(allowed_cores(), [all[0]], "it stays where it is");
            assert!(matches!(keep(&Place::Any(Arc::clone(&all))), Ok(Kept::Nowhere)));
            assert_eq!(allowed_cores(), &*all);
        });
    }
}
