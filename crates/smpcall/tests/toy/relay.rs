//! Relayed multicasts: machines of two full groups of 64 CPUs and two CPUs more, which one thread is in turn.

use crate::port::{OwnCpu, pinned};
use smpcall::{
    Backoff, Budget, CallStall, CpuMask, Pause, PerCpu, Phase, Platform, Reached, Reporting, RingError, To,
    Waiting,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

const GROUP: u32 = usize::BITS;
const CPUS: u32 = 2 * GROUP + 2;

type Machine = smpcall::Machine<Groups, &'static mut [PerCpu]>;
type Hook = Box<dyn FnOnce(&Machine)>;

/// One thread that is every CPU in turn. At each pause of a waiting caller, whoever was rung flushes, in the order of the rings,
/// and then all who wait themselves, as they would.
#[derive(Default)]
struct Groups {
    cpu: Cell<u32>,
    irq_off: Cell<u32>,
    rung: RefCell<Vec<u32>>,
    all_rings: RefCell<Vec<u32>>,
    waiting: RefCell<Vec<u32>>,
    machine: RefCell<Option<Rc<Machine>>>,
    /// Runs once, at the next pause.
    on_pause: RefCell<Option<Hook>>,
    pauses: Cell<u32>,
    /// At these pauses, by number, what was rung is lost.
    loses_at: Cell<[u32; 2]>,
    /// After how many pauses a silent target is reported; 0: never.
    stall_timeout: Cell<u32>,
    stalls: RefCell<Vec<CallStall>>,
}

// SAFETY: 1. `Groups` is not `Sync`, so one thread is one CPU at a time, and comes back to be the one that it was. 2. A flush is
// run only from a pause, where interrupts are on. 3. Rings are kept until their flush. 4. Nothing unwinds into the core but a
// failed test. 5. It does not park.
unsafe impl Platform for Groups {
    type IrqState = ();
    smpcall::no_unwinding!();

    fn current_cpu(&self) -> Option<u32> {
        Some(self.cpu.get())
    }

    fn can_wait(&self) -> bool {
        self.irq_off.get() == 0
    }

    fn ring(&self, cpu: u32) -> Result<(), RingError> {
        self.rung.borrow_mut().push(cpu);
        self.all_rings.borrow_mut().push(cpu);
        Ok(())
    }

    fn irq_save(&self) {
        self.irq_off.set(self.irq_off.get() + 1);
    }

    fn irq_restore(&self, (): ()) {
        self.irq_off.set(self.irq_off.get() - 1);
    }

    fn relax(&self) {}

    fn now_ns(&self) -> u64 {
        self.pauses.get().into()
    }
}

impl Waiting for Groups {
    fn pause(&self, _backoff: &Backoff) -> Pause {
        self.pauses.set(self.pauses.get() + 1);
        assert!(self.pauses.get() < 10_000, "the caller waits for ever");
        let machine = self.machine.borrow().clone().expect("`machine` has put it there");
        let hook = self.on_pause.take();
        if let Some(hook) = hook {
            hook(&machine);
        }
        let mut looking = self.rung.take();
        if self.loses_at.get().contains(&self.pauses.get()) {
            looking.clear();
        }
        looking.extend_from_slice(&self.waiting.borrow());
        for cpu in looking {
            on(&machine, cpu, || {
                let _ = machine.flush(Budget::DEFAULT);
            });
        }
        Pause::Again
    }
}

impl Reporting for Groups {
    fn stall_timeout_ns(&self) -> u64 {
        self.stall_timeout.get().into()
    }

    fn call_stalled(&self, stall: &CallStall) {
        self.stalls.borrow_mut().push(*stall);
    }
}

smpcall::simple_port!(Groups: Tracing, Topology, Tuning, Foreign, Hosting);

fn on<R>(machine: &Machine, cpu: u32, f: impl FnOnce() -> R) -> R {
    let before = machine.platform().cpu.replace(cpu);
    let result = f();
    machine.platform().cpu.set(before);
    result
}

/// A machine on which all are online but for `offline`.
fn machine(offline: &[u32]) -> Rc<Machine> {
    let storage = (0..CPUS).map(|_| PerCpu::new()).collect::<Vec<_>>().leak();
    let machine = Rc::new(Machine::with_storage(Groups::default(), storage).unwrap());
    machine.platform().machine.replace(Some(Rc::clone(&machine)));
    for cpu in (0..CPUS).filter(|cpu| !offline.contains(cpu)) {
        on(&machine, cpu, || pinned(&machine).come_online()).unwrap();
    }
    machine
}

/// Breaks the circle that the platform holds.
fn end(machine: &Machine) {
    machine.platform().machine.take();
}

/// Calls from CPU `from`, and returns how often each CPU ran it.
fn call(machine: &Machine, from: u32, to: To<'_>) -> (Reached, Vec<u32>) {
    let runs = std::sync::Mutex::new(vec![0; CPUS as usize]);
    thread_local!(static HERE: Cell<*const Groups> = const { Cell::new(std::ptr::null()) });
    HERE.set(machine.platform());
    let function = || {
        // SAFETY: the machine outlives the call, and it is this thread's.
        let here = unsafe { &*HERE.get() };
        runs.lock().unwrap()[here.cpu.get() as usize] += 1;
    };
    machine.platform().waiting.borrow_mut().push(from);
    let reached = on(machine, from, || machine.call_many(to, function)).unwrap();
    machine.platform().waiting.borrow_mut().pop();
    (reached, runs.into_inner().unwrap())
}

fn counts(reached: Reached) -> (u32, u32, u32) {
    (reached.ran, reached.offline, reached.busy)
}

fn times(cpu: impl Fn(u32) -> bool) -> Vec<u32> {
    (0..CPUS).map(|number| u32::from(cpu(number))).collect()
}

#[test]
fn p1_p7_all_of_all_groups_run_it_once_and_are_rung_once() {
    let machine = machine(&[]);
    let (reached, runs) = call(&machine, 3, To::All);
    assert_eq!((counts(reached), runs), ((CPUS, 0, 0), times(|_| true)));
    let mut rings = machine.platform().all_rings.take();
    // The sender rings a leader for each full group, and the rest of the machine by itself.
    assert_eq!(rings[..4], [4, GROUP + 3, 2 * GROUP, 2 * GROUP + 1]);
    rings.sort_unstable();
    assert_eq!(rings, (0..CPUS).filter(|cpu| *cpu != 3).collect::<Vec<_>>());
    end(&machine);
}

#[test]
fn calls_in_different_slots_have_different_leaders() {
    let machine = machine(&[]);
    let mut leaders = Vec::new();
    for from in 0..3 {
        let _ = call(&machine, from, To::Others);
        leaders.push(machine.platform().all_rings.take()[1]);
    }
    assert_eq!(leaders, [GROUP, GROUP + 1, GROUP + 2]);
    end(&machine);
}

#[test]
fn p8_who_is_offline_in_a_group_is_counted_whoever_finds_it() {
    // The slot's first leader, another one of its group, and one of a group that is called straight.
    let offline = [GROUP, GROUP + 9, 2 * GROUP];
    let machine = machine(&offline);
    let (reached, runs) = call(&machine, 0, To::All);
    assert_eq!(counts(reached), (CPUS - 3, 3, 0));
    assert_eq!(runs, times(|cpu| !offline.contains(&cpu)));
    // And again: the count begins anew.
    assert_eq!(counts(call(&machine, 0, To::All).0), (CPUS - 3, 3, 0));
    end(&machine);
}

#[test]
fn p8_a_group_of_which_one_or_none_is_online_is_called_all_the_same() {
    // One that has others to look for after it, and the last, which is called straight.
    for left in [GROUP + 7, 2 * GROUP - 1] {
        let all_but_one: Vec<u32> = (GROUP..2 * GROUP).filter(|cpu| *cpu != left).collect();
        let one = machine(&all_but_one);
        let (reached, runs) = call(&one, 0, To::All);
        assert_eq!(counts(reached), (GROUP + 3, GROUP - 1, 0));
        assert_eq!(runs, times(|cpu| !all_but_one.contains(&cpu)));
        on(&one, left, || one.offline()).unwrap();
        let (reached, runs) = call(&one, 0, To::All);
        assert_eq!(counts(reached), (GROUP + 2, GROUP, 0));
        assert_eq!(runs, times(|cpu| !(GROUP..2 * GROUP).contains(&cpu)));
        // They come back, and the relay is as new.
        for cpu in GROUP..2 * GROUP {
            on(&one, cpu, || pinned(&one).come_online()).unwrap();
        }
        assert_eq!(counts(call(&one, 0, To::All).0), (CPUS, 0, 0));
        end(&one);
    }
}

#[test]
fn p8_a_leader_that_goes_offline_passes_on_what_it_had_accepted() {
    let machine = machine(&[]);
    let leave = |machine: &Machine| {
        let ran = on(machine, GROUP, || machine.offline()).unwrap();
        assert_eq!(ran, 1, "it had accepted");
    };
    machine.platform().on_pause.replace(Some(Box::new(leave)));
    let (reached, runs) = call(&machine, 0, To::Others);
    assert_eq!((counts(reached), runs), ((CPUS - 1, 0, 0), times(|cpu| cpu != 0)));
    assert_eq!(counts(call(&machine, 0, To::Others).0), (CPUS - 2, 1, 0));
    end(&machine);
}

#[test]
fn p8_one_that_goes_offline_before_its_leader_calls_it_is_counted() {
    let machine = machine(&[]);
    let leave = |machine: &Machine| assert_eq!(on(machine, GROUP + 5, || machine.offline()), Ok(0));
    machine.platform().on_pause.replace(Some(Box::new(leave)));
    let (reached, runs) = call(&machine, 0, To::Others);
    assert_eq!((counts(reached), runs), ((CPUS - 2, 1, 0), times(|cpu| cpu != 0 && cpu != GROUP + 5)));
    end(&machine);
}

#[test]
fn two_that_multicast_at_once_do_not_meet_in_a_relay() {
    let machine = machine(&[]);
    let second = Rc::new(Cell::new(None));
    let seen = Rc::clone(&second);
    let also = move |machine: &Machine| {
        let runs = call(machine, GROUP + 1, To::Others);
        seen.set(Some((counts(runs.0), runs.1 == times(|cpu| cpu != GROUP + 1))));
    };
    machine.platform().on_pause.replace(Some(Box::new(also)));
    let (reached, runs) = call(&machine, 1, To::Others);
    assert_eq!((counts(reached), runs), ((CPUS - 1, 0, 0), times(|cpu| cpu != 1)));
    assert_eq!(second.get(), Some(((CPUS - 1, 0, 0), true)));
    end(&machine);
}

#[test]
fn few_of_a_group_and_calls_that_nobody_waits_for_go_straight() {
    let machine = machine(&[]);
    let mut words = [0, 0b1011, 0];
    let few = CpuMask::from_words_mut(&mut words);
    assert_eq!(counts(call(&machine, 0, To::Mask(few)).0), (3, 0, 0));
    assert_eq!(machine.platform().all_rings.take(), [GROUP, GROUP + 1, GROUP + 3]);
    assert_eq!(counts(on(&machine, 0, || machine.post_many(To::Others, || ())).unwrap()), (CPUS - 1, 0, 0));
    assert_eq!(machine.platform().all_rings.take(), (1..CPUS).collect::<Vec<_>>(), "P6: nobody is overtaken");
    end(&machine);
}

#[test]
fn a_best_effort_call_asks_each_by_itself() {
    let machine = machine(&[GROUP + 2]);
    on(&machine, 0, || machine.post_many(To::If(&mut |cpu| cpu == GROUP + 1), || ())).unwrap();
    let mut words = [0; 3];
    let busy = CpuMask::from_words_mut(&mut words);
    let reached = on(&machine, 0, || machine.call_many_idle(To::Others, busy, || ())).unwrap();
    assert_eq!(counts(reached), (CPUS - 3, 1, 1));
    assert_eq!(busy.iter().collect::<Vec<_>>(), [GROUP + 1]);
    end(&machine);
}

#[test]
fn p10_a_report_for_each_level_finds_all_whose_doorbells_were_lost() {
    let machine = machine(&[]);
    let platform = machine.platform();
    platform.stall_timeout.set(10);
    // Those of the sender; and, just after the first report, those of the leaders.
    platform.loses_at.set([1, 12]);
    let (reached, runs) = call(&machine, 3, To::Others);
    assert_eq!((counts(reached), runs), ((CPUS - 1, 0, 0), times(|cpu| cpu != 3)));
    assert_eq!(platform.pauses.get(), 31, "the second report comes after 10 and 20");
    let stalls = platform.stalls.take();
    assert!(stalls.iter().all(|stall| stall.phase == Phase::Queued));
    let told: Vec<_> = stalls.iter().map(|stall| (stall.reports, stall.pending, stall.target)).collect();
    let first = [4, GROUP + 3, 2 * GROUP, 2 * GROUP + 1].map(|cpu| (0, 4, cpu));
    let second = [0, 1, 2, 5, 6, 7, 8, 9].map(|cpu| (1, CPUS - 5, cpu));
    assert_eq!((&told[..4], &told[4..]), (&first[..], &second[..]), "of 125 only eight are named");
    end(&machine);
}
