//! Does a few things at a time, and hands them on in their order.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

/// Calls `work` for each item, with each of the `workers` on a thread of its own, and `take` in the order of the items.
pub(super) fn in_order<W: Sync, T: Send, R: Send>(
    workers: &[W],
    items: Vec<T>,
    work: impl Fn(&W, T) -> R + Sync,
    take: impl FnMut(R),
) {
    let (says, saids): (Vec<_>, Vec<_>) = items.iter().map(|_| channel()).unzip();
    let queue = Arc::new(Mutex::new(items.into_iter().zip(says)));
    thread::scope(|scope| {
        let work = &work;
        for worker in workers {
            let queue = Arc::clone(&queue);
            scope.spawn(move || {
                loop {
                    // Not held while it works.
                    let next = queue.lock().expect("nobody panics with it").next();
                    let Some((item, say)) = next else { break };
                    say.send(work(worker, item)).ok();
                }
            });
        }
        // Of an item whose work panics nothing is said, nor of those that nobody is left for; then the scope panics.
        drop(queue);
        saids.into_iter().filter_map(|said| said.recv().ok()).for_each(take);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
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
            item
        };
        in_order(&[(), ()], vec![0, 1, 2, 3], work, |item| taken.push(item));
        assert_eq!(taken, [0, 1, 2, 3]);
    }

    #[test]
    fn a_panic_of_all_workers_ends_it() {
        let work = |_: &(), _| panic!("as a test wants it");
        let ended = std::panic::catch_unwind(|| in_order(&[(), ()], vec![0, 1, 2, 3], work, |(): ()| ()));
        assert!(ended.is_err());
    }
}
