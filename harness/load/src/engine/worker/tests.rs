//! What a worker does with requests that nobody can take.

use super::super::epoll::Epoll;
use super::super::tests::{open, order};
use super::*;

#[test]
fn requests_that_wait_are_shed_when_there_are_too_many() {
    let order = order(([127, 0, 0, 1], 1).into(), &open(1000.0, 1), 1000);
    let job = Job::new(&order).expect("valid");
    let sources = Sources::new(&order, &job, true).expect("valid");
    let mut worker = Worker::<Epoll>::new(job, sources, Vec::new(), 1, (0, 1)).expect("it can");
    // Its connection is taken.
    worker.closed.clear();
    for _ in 0..MAX_WAITING + 5 {
        worker.record.began(0, 0);
        worker.queue(Request::default(), 0);
    }
    assert_eq!(worker.waiting.len(), MAX_WAITING);
    worker.end(1);
    let fates = worker.record.report("epoll", &[]).expect("encodes")[0].fates;
    assert_eq!((fates.shed, fates.in_flight_at_end), (5, MAX_WAITING as u64));
    assert_eq!(fates.sum(), fates.scheduled);
}
