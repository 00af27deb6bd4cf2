//! Does a few things at a time, and hands them on in their order.

use crate::agent::handles::Agent;
use anyhow::{Result, anyhow};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

/// How many at a time: most of a check is waiting.
const AT_A_TIME: usize = 2;

/// Starts an agent for each of those that are done at a time.
///
/// # Errors
/// One does not start.
pub(super) fn agents() -> Result<Vec<Agent>> {
    let agents: Result<_, _> = (0..AT_A_TIME).map(|_| Agent::local()).collect();
    agents.map_err(|problem| anyhow!("{problem}"))
}

/// Calls `work` for each item, with each agent on a thread of its own, and `take` in the order of the items, up to the
/// first of which `work` returns none.
///
/// # Errors
/// `take` returns one: then no more is begun.
pub(super) fn in_order<A: Sync, T: Send, R: Send>(
    agents: &[A],
    items: Vec<T>,
    work: impl Fn(&A, T) -> Option<R> + Sync,
    take: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let (says, saids): (Vec<_>, Vec<_>) = items.iter().map(|_| channel()).unzip();
    let queue = Mutex::new(items.into_iter().zip(says));
    thread::scope(|scope| {
        for agent in agents {
            scope.spawn(|| {
                loop {
                    // Not held while it works.
                    let next = queue.lock().expect("nobody panics with it").next();
                    let Some((item, say)) = next else { break };
                    if let Some(done) = work(agent, item) {
                        say.send(done).ok();
                    }
                }
            });
        }
        let taken = saids.into_iter().map_while(|said| said.recv().ok()).try_for_each(take);
        if taken.is_err() {
            queue.lock().expect("nobody panics with it").by_ref().for_each(drop);
        }
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;
    use std::sync::Barrier;

    #[test]
    fn what_is_done_first_waits_for_its_turn() {
        // The first is done once the third is: the other thread has done two meanwhile.
        let third = Barrier::new(2);
        let mut taken = Vec::new();
        let work = |_: &(), item| {
            if item == 0 || item == 2 {
                third.wait();
            }
            Some(item)
        };
        let take = |item| {
            taken.push(item);
            Ok(())
        };
        in_order(&[(), ()], vec![0, 1, 2, 3], work, take).expect("nothing fails");
        assert_eq!(taken, [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_not_done_is_the_end() {
        let mut taken = Vec::new();
        let take = |item| {
            taken.push(item);
            Ok(())
        };
        in_order(&[()], (0..9).collect(), |_, item| (item < 3).then_some(item), take).expect("nothing fails");
        assert_eq!(taken, [0, 1, 2]);
    }

    #[test]
    fn a_failure_is_told() {
        let failed = in_order(
            &[(), ()],
            (0..9).collect(),
            |_, item: i32| Some(item),
            |item| {
                ensure!(item < 3, "the disk is full");
                Ok(())
            },
        );
        assert_eq!(failed.expect_err("it is told").to_string(), "the disk is full");
    }
}
