use super::*;

struct Nothing;

impl Hook for Nothing {
    fn before(&self, _access: Access) {}
}

static X: AtomicU32 = AtomicU32::new(0);

/// Simulates two virtual CPUs on this test's thread. Each test has words of its own.
fn two() -> Simulating {
    reset(2);
    // SAFETY: the words of these tests are statics, or drained before they end.
    unsafe { enter(&Nothing, Memory::Tso) }
}

#[test]
fn a_store_is_seen_by_its_own_cpu_first() {
    let _simulating = two();
    // Relaxed: under test is who sees it.
    X.store(7, Ordering::Relaxed);
    // Relaxed: as above.
    assert_eq!(X.load(Ordering::Relaxed), 7);
    set_current(1);
    // Relaxed: as above.
    assert_eq!(X.load(Ordering::Relaxed), 0, "another CPU does not see it yet");
    drain_one(0);
    // Relaxed: as above.
    assert_eq!(X.load(Ordering::Relaxed), 7);
}

#[test]
fn stores_come_to_memory_in_order_and_read_modify_writes_wait_for_them() {
    static A: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
    static B: AtomicUsize = AtomicUsize::new(0);
    let _simulating = two();
    A.store(core::ptr::without_provenance_mut(3), Ordering::Relaxed); // Relaxed: under test is the order.
    B.store(1, Ordering::Relaxed); // Relaxed: as above.
    B.store(2, Ordering::Relaxed); // Relaxed: as above.
    assert_eq!(B.load(Ordering::Relaxed), 2, "the youngest"); // Relaxed: as above.
    drain_one(0);
    set_current(1);
    // Relaxed: as above.
    assert_eq!((A.load(Ordering::Relaxed).addr(), B.load(Ordering::Relaxed)), (3, 0));
    set_current(0);
    // Relaxed: as above; a failed one drains as well.
    assert_eq!(B.compare_exchange(0, 5, Ordering::Relaxed, Ordering::Relaxed), Err(2));
    assert!(is_empty());
}

#[test]
fn a_full_buffer_lets_the_oldest_go() {
    static WORDS: [AtomicU16; CAPACITY + 1] = [const { AtomicU16::new(0) }; CAPACITY + 1];
    let _simulating = two();
    WORDS.iter().for_each(|word| word.store(1, Ordering::Relaxed)); // Relaxed: under test is the buffer.
    assert_eq!(len(0), CAPACITY);
    set_current(1);
    // Relaxed: as above.
    let seen: u16 = WORDS.iter().map(|word| word.load(Ordering::Relaxed)).sum();
    assert_eq!(seen, 1);
    fence(Ordering::SeqCst); // SeqCst: under test is that it drains.
    assert_eq!(len(0), CAPACITY, "another CPU's fence");
    set_current(0);
    fence(Ordering::SeqCst); // SeqCst: under test is that it drains.
    assert!(is_empty());
}

#[test]
fn outside_of_a_simulation_nothing_is_late() {
    static Y: AtomicU32 = AtomicU32::new(1);
    reset(1);
    Y.store(2, Ordering::Relaxed); // Relaxed: one thread.
    assert!(is_empty());
    assert_eq!(Y.fetch_max(9, Ordering::Relaxed), 2); // Relaxed: one thread.
    assert_eq!(Y.load(Ordering::Relaxed), 9); // Relaxed: one thread.
}
