//! The runs, and their table.

use crate::rival::Rival;
use crate::vm::{SPINS, Vm};
use smpcall_host::{Machine, Signal, allowed_cores, pin_this_thread};
use smpcall_kvm::{Ran, Vcpu};
use std::thread;
use std::time::{Duration, Instant};

/// What one kick took.
pub(crate) struct Kicked {
    /// Until the vCPU's thread was out of the guest.
    pub(crate) out: Duration,
    /// Until who kicked knew.
    pub(crate) known: Duration,
}

/// How far apart.
#[derive(Clone, Copy, Debug)]
enum Pace {
    Apart,
    AtOnce,
}

/// How many blocks of each there are.
const BLOCKS: u32 = 10;

pub(crate) fn run(kicks: u32) -> Result<(), Box<dyn std::error::Error>> {
    let cores = allowed_cores();
    let [caller, target] = match cores[..] {
        [first, second, ..] => [Some(first), Some(second)],
        _ => [None; 2],
    };
    if let Some(core) = caller {
        pin_this_thread(core)?;
    }
    println!("{kicks} kicks of each, on cores {caller:?} and {target:?}; µs: median, p99.9, longest");
    for pace in [Pace::Apart, Pace::AtOnce] {
        let (mut ours, mut theirs, mut rest) = (Times::default(), Times::default(), Rest::default());
        for _ in 0..BLOCKS {
            block_of_rival(kicks / BLOCKS, pace, target, &mut theirs, &mut rest);
            block_of_ours(kicks / BLOCKS, pace, target, &mut ours, &mut rest);
        }
        println!("{pace:?}");
        for (what, ours, theirs) in [
            ("until out", &mut ours.out, &mut theirs.out),
            ("until known", &mut ours.known, &mut theirs.known),
        ] {
            let (ours, theirs) = (points(ours), points(theirs));
            let ratio = |at: usize| ours[at] / theirs[at];
            println!(
                "  {what:<12} smpcall-kvm {ours:>9.1?}  signals until answered {theirs:>9.1?}  ratios {:.3} {:.3}",
                ratio(0),
                ratio(1)
            );
        }
        let Rest { our_signals, their_signals, given_up } = rest;
        println!("  signals: ours {our_signals}, theirs {their_signals}; they gave up {given_up} times");
        // P7: who waits long may ring once more before it parks, which a slow or busy host decides. None is sent again and again.
        assert!(our_signals <= 2 * u64::from(kicks), "one for a kick, and one by its waiter");
    }
    Ok(())
}

#[derive(Default)]
struct Times {
    out: Vec<Duration>,
    known: Vec<Duration>,
}

#[derive(Default)]
struct Rest {
    our_signals: u64,
    their_signals: u64,
    given_up: u64,
}

/// The median, the 99.9th percentile and the longest, in µs.
fn points(times: &mut [Duration]) -> [f64; 3] {
    times.sort_unstable();
    let at = |part: f64| {
        let index = (times.len() as f64 * part) as usize;
        times[index.min(times.len() - 1)].as_nanos() as f64 / 1_000.0
    };
    [at(0.5), at(0.999), at(1.0)]
}

fn repeat(kicks: u32, pace: Pace, times: &mut Times, mut kick: impl FnMut() -> Kicked) {
    for _ in 0..kicks {
        if matches!(pace, Pace::Apart) {
            thread::sleep(Duration::from_micros(300));
        }
        let Kicked { out, known } = kick();
        times.out.push(out);
        times.known.push(known);
    }
}

fn block_of_rival(kicks: u32, pace: Pace, core: Option<usize>, times: &mut Times, rest: &mut Rest) {
    let (vm, vcpu) = Vm::new(SPINS);
    let mut rival = Rival::start(vm, vcpu, core);
    repeat(kicks, pace, times, || rival.kick());
    rest.their_signals += rival.sent;
    rest.given_up += rival.given_up;
}

fn block_of_ours(kicks: u32, pace: Pace, core: Option<usize>, times: &mut Times, rest: &mut Rest) {
    let (vm, fd) = Vm::new(SPINS);
    let machine = Machine::builder().attachable(1).build().expect("this machine can be had");
    thread::scope(|scope| {
        scope.spawn(|| {
            if let Some(core) = core {
                pin_this_thread(core).expect("it is ours");
            }
            let signal = Signal::real_time(0).expect("there are some");
            let mut vcpu =
                Vcpu::attach(&machine, 0, fd, signal).map_err(|(why, _)| why).expect("nobody else is");
            while vcpu.run(|exit| panic!("it leaves: {exit:?}")).expect("it runs") != Ran::ShutDown {}
        });
        while !machine.is_online_racy(0) {
            thread::yield_now();
        }
        repeat(kicks, pace, times, || {
            let began = Instant::now();
            let out = machine.call(0, Instant::now).expect("it is online");
            Kicked { out: out.saturating_duration_since(began), known: began.elapsed() }
        });
        rest.our_signals += machine.counts().wakes;
        machine.shutdown().expect("this thread is no CPU");
    });
    drop(vm);
}
