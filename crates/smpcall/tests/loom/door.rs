//! P4, P11: the place at a CPU's door, which one caller leaves and the next takes.

use crate::port::model_parking_within;

/// P4, P11: two callers of one CPU. If the second finds the place free, the first has read its answer; if not, it takes a
/// frame. Bounds: one call each, callers that park, at most 1 preemption.
#[test]
fn the_place_changes_hands() {
    model_parking_within(1, |m| {
        let runs = m.tally();
        let call = move |number: u32| {
            let answer = m.call(1, move || {
                runs.add();
                number + 10
            });
            assert_eq!(answer, Ok(number + 10));
        };
        let callers = [m.thread(None, move || call(1)), m.thread(0, move || call(2))];
        m.answer_until(1, || runs.get() == 2);
        for caller in callers {
            caller.join().unwrap();
        }
    });
}
