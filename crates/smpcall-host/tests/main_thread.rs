//! Programs that do something to their main thread before, or after, they build a machine. Each is this program, started again
//! with the name of what it does, so that the main thread is the only one, and a signal that ends it ends no other test.

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::Pid;
use smpcall_host::smpcall::Tuning;
use smpcall_host::{Cores, Idle, Machine, PlacementWarning, allowed_cores, pin_this_thread, process_cores};
use std::process::Command;

type Program = (&'static str, fn());

const PROGRAMS: [Program; 4] = [
    ("pins_itself_first", pins_itself_first),
    ("has_one_core_and_gets_no_other", has_one_core_and_gets_no_other),
    ("blocks_a_signal_and_waits_for_it", blocks_a_signal_and_waits_for_it),
    ("is_kept_from_being_interrupted", owned_threads_block_what_others_send),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = &arguments[..]
        && flag == "--program"
    {
        let program = PROGRAMS.iter().find(|program| program.0 == name).expect("a program of these");
        return program.1();
    }
    // What the test harness would be asked, too: a part of a name.
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-')).map_or("", String::as_str);
    for (name, _) in PROGRAMS.iter().filter(|program| program.0.contains(wanted)) {
        let run = || {
            if *name == "has_one_core_and_gets_no_other" {
                pin_this_thread(allowed_cores()[0]).expect("it may use that core");
            }
            let itself = std::env::current_exe().expect("this program has a file");
            Command::new(itself).args(["--program", name]).status().expect("it can be started again")
        };
        // In a thread of its own: its mask is inherited.
        let status = std::thread::scope(|scope| scope.spawn(run).join().expect("it only starts a program"));
        assert!(status.success(), "{name}: {status}");
        println!("test {name} ... ok");
    }
}

fn pins_itself_first() {
    let all = allowed_cores();
    pin_this_thread(all[0]).unwrap();
    assert_eq!((allowed_cores(), process_cores()), (vec![all[0]], all.clone()));
    let machine = Machine::builder().owned(2).cores(Cores::Spread).idle(Idle::Sleep).build().unwrap();
    for cpu in 0..2 {
        let core = all[cpu as usize % all.len()];
        assert_eq!(machine.placement().core_of(cpu), Some(core), "{}", machine.placement());
        assert_eq!(machine.call(cpu, allowed_cores), Ok(vec![core]));
    }
    assert_eq!(machine.placement().process_cores(), all);
    let kept = PlacementWarning::BuilderKept { on: vec![all[0]] };
    assert_eq!(machine.placement().warnings().contains(&kept), all.len() > 1, "{}", machine.placement());
    let adrift = Machine::builder().owned(2).cores(Cores::Unpinned).build().unwrap();
    assert_eq!(adrift.call(1, allowed_cores), Ok(all.clone()));
    let unless_told = Machine::builder().owned(1).build().unwrap();
    assert_eq!(unless_told.call(0, allowed_cores), Ok(vec![all[0]]));
    if let [_, other, ..] = all[..] {
        // Nobody takes it that there is but one core: who waits for a CPU on another looks whether it answers.
        let later = Machine::builder().owned(1).cores(Cores::These(vec![other])).build().unwrap();
        assert_eq!((later.call(0, || 5), later.platform().looks_first(0) > 0), (Ok(5), true));
    }
}

fn has_one_core_and_gets_no_other() {
    let all = allowed_cores();
    assert_eq!(all.len(), 1, "started by a thread that was kept there, as taskset does it");
    assert_eq!(process_cores(), all);
    let machine = Machine::builder().owned(2).cores(Cores::Spread).build().unwrap();
    for cpu in 0..2 {
        assert_eq!(machine.call(cpu, allowed_cores), Ok(all.clone()));
    }
    let line = machine.placement().to_string();
    let core = all[0];
    let begin =
        format!("2 CPUs on core {core}, of 1 core that the process may use; 2 CPUs share core {core}; ");
    assert!(line.starts_with(&begin) && line.lines().count() == 1, "{line}");
}

fn blocks_a_signal_and_waits_for_it() {
    let machine = Machine::builder().owned(2).build().unwrap();
    let mut signal = SigSet::empty();
    signal.add(Signal::SIGUSR1);
    signal.thread_block().unwrap();
    for _ in 0..100 {
        // To the process: the kernel looks for a thread that has it open, and what it does there ends the process.
        kill(Pid::this(), Signal::SIGUSR1).unwrap();
        assert_eq!(signal.wait(), Ok(Signal::SIGUSR1));
        assert_eq!(machine.call(1, || 5), Ok(5));
    }
}

fn owned_threads_block_what_others_send() {
    let mut before = SigSet::empty();
    before.add(Signal::SIGUSR2);
    before.thread_set_mask().unwrap();
    let machine = Machine::builder().owned(1).build().unwrap();
    assert_eq!(SigSet::thread_get_mask(), Ok(before), "the builder's own mask is as it was");
    let of_the_cpu = machine.call(0, || SigSet::thread_get_mask().unwrap()).unwrap();
    for signal in Signal::iterator() {
        let own = [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGILL,
            Signal::SIGFPE,
            Signal::SIGTRAP,
            Signal::SIGSYS,
        ];
        // What nothing can block.
        if ![Signal::SIGKILL, Signal::SIGSTOP].contains(&signal) {
            assert_eq!(of_the_cpu.contains(signal), !own.contains(&signal), "{signal}");
        }
    }
    // Whoever wants one there opens it.
    let opens = |_| {
        let mut signal = SigSet::empty();
        signal.add(Signal::SIGPROF);
        signal.thread_swap_mask(SigmaskHow::SIG_UNBLOCK).unwrap();
    };
    let machine = Machine::builder().owned(1).on_start(opens).build().unwrap();
    let of_the_cpu = machine.call(0, || SigSet::thread_get_mask().unwrap()).unwrap();
    assert!(!of_the_cpu.contains(Signal::SIGPROF) && of_the_cpu.contains(Signal::SIGUSR1));
}
