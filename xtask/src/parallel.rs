//! Several things at once.

use anyhow::{Result, bail};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread::available_parallelism;

/// How many of them: the cores that this process may use; one where nobody knows.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Works on so many items at once. The first error ends the run after what is under way.
pub(crate) fn in_parallel<I: Send, O: Send>(
    jobs: usize,
    items: Vec<I>,
    work: impl Fn(I) -> Result<O> + Sync,
) -> Result<Vec<O>> {
    let queue = Mutex::new(VecDeque::from(items));
    let done = Mutex::new(Ok(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
                    let (Some(item), true) = (next, done.lock().is_ok_and(|done| done.is_ok())) else {
                        return;
                    };
                    let result = work(item);
                    let Ok(mut done) = done.lock() else { return };
                    match (result, done.as_mut()) {
                        (Ok(output), Ok(outputs)) => outputs.push(output),
                        (Err(why), Ok(_)) => *done = Err(why),
                        (_, Err(_)) => {}
                    }
                }
            });
        }
    });
    match done.into_inner() {
        Ok(done) => done,
        Err(_) => bail!("a worker panicked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_until_one_fails() {
        let mut doubled = in_parallel(3, (0..20).collect(), |item: u32| Ok(2 * item)).unwrap();
        doubled.sort_unstable();
        assert_eq!(doubled, (0..20).map(|item| 2 * item).collect::<Vec<_>>());
        let failed = in_parallel(
            2,
            (0..20).collect(),
            |item: u32| if item == 7 { bail!("no {item}") } else { Ok(()) },
        );
        assert_eq!(failed.unwrap_err().to_string(), "no 7");
    }
}
