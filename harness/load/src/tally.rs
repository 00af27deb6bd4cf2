//! The requests of an order that is a number of them: handed out to all workers, and counted.

use crate::fate::Fate;
use crate::gauge::Gauge;
use crate::histogram::Samples;
use crate::protocol::{Expect, Fates, PartReport};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An answer, before it is judged.
#[derive(Debug)]
pub(super) struct Answer {
    /// From the first byte written to the last byte read.
    pub(super) service: Duration,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What has been counted.
#[derive(Debug)]
struct Tally {
    fates: Fates,
    service: Samples,
    connects: u64,
    first_error: Option<String>,
}

/// The requests of an order, handed out one at a time to all workers.
#[derive(Debug)]
pub(super) struct Queue {
    requests: u64,
    left: AtomicU64,
    timeouts: AtomicU64,
    give_up_after: u64,
    stopped: AtomicBool,
    /// One for all workers, of which there can be thousands: a histogram is large.
    tally: Mutex<Tally>,
    /// How many are under way.
    pub(super) gauge: Gauge,
}

impl Queue {
    /// `requests` requests. When `in_flight` of them in a row (three at the least) run into their
    /// timeout the rest is not begun: a server that hangs would hold the run for hours.
    pub(super) fn new(requests: u64, in_flight: usize) -> Queue {
        Queue {
            requests,
            left: AtomicU64::new(requests),
            timeouts: AtomicU64::new(0),
            give_up_after: (in_flight as u64).max(3),
            stopped: AtomicBool::new(false),
            tally: Mutex::new(Tally {
                fates: Fates::default(),
                service: Samples::new(1),
                connects: 0,
                first_error: None,
            }),
            gauge: Gauge::new(),
        }
    }

    /// Takes one request, if one is left.
    pub(super) fn take(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
            && self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
    }

    /// How many have been taken.
    pub(super) fn taken(&self) -> u64 {
        self.requests - self.left.load(Ordering::Relaxed)
    }

    /// A connection was opened.
    pub(super) fn connected(&self) {
        self.tally().connects += 1;
    }

    /// A request has ended.
    pub(super) fn ended(&self, outcome: Result<Answer, Fate>, expect: &Expect) {
        let (fate, service) = match outcome {
            Ok(answer) => (Fate::of_answer(answer.status, &answer.body, expect), answer.service),
            Err(fate) => (fate, Duration::ZERO),
        };
        if fate == Fate::TimedOut {
            if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= self.give_up_after {
                self.stop();
            }
        } else if self.timeouts.load(Ordering::Relaxed) > 0 {
            self.timeouts.store(0, Ordering::Relaxed);
        }
        let mut tally = self.tally();
        tally.fates.scheduled += 1;
        *fate.counter(&mut tally.fates) += 1;
        if fate == Fate::Ok {
            tally.service.record(0, u64::try_from(service.as_nanos()).unwrap_or(u64::MAX));
        } else if tally.first_error.is_none() {
            tally.first_error = Some(fate.to_string());
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first thing that went wrong.
    pub(super) fn first_error(&self) -> Option<String> {
        self.tally().first_error.clone()
    }

    /// The report of requests that took this time, and this CPU time of the client.
    ///
    /// # Errors
    /// A histogram cannot be encoded; none of times is like that.
    pub(super) fn report(&self, elapsed: Duration, client_cpu: Duration) -> Result<PartReport, String> {
        let tally = self.tally();
        Ok(PartReport {
            fates: tally.fates,
            connects: tally.connects,
            elapsed,
            client_cpu,
            service: tally.service.report()?,
            in_flight_mean: self.gauge.mean(elapsed),
            engine: None,
        })
    }

    /// Begins no more requests.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Why requests were left over, if some were.
    pub(super) fn gave_up(&self) -> Option<String> {
        let left = self.left.load(Ordering::Relaxed);
        let timeouts = self.timeouts.load(Ordering::Relaxed);
        match (left, timeouts >= self.give_up_after) {
            (0, _) => None,
            (left, true) => {
                Some(format!("gave up after {timeouts} timeouts in a row, {left} requests not begun"))
            }
            (left, false) => Some(format!("told to stop, {left} requests not begun")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ExpectBody;

    fn end(queue: &Queue, outcome: Result<Answer, Fate>) {
        queue.ended(outcome, &Expect { status: 200, body: ExpectBody::Exact("ab".into()) });
    }

    fn answer(status: u16, body: &str) -> Result<Answer, Fate> {
        Ok(Answer { service: Duration::from_micros(5), status, body: body.into() })
    }

    #[test]
    fn every_request_has_one_fate_and_they_add_up() {
        let queue = Queue::new(7, 1);
        for outcome in [
            answer(503, "ab"),
            answer(200, "ab"),
            answer(200, "a"),
            Err(Fate::ErrConnect("x".into())),
            Err(Fate::ErrWrite("x".into())),
            Err(Fate::ErrRead("x".into())),
            Err(Fate::TimedOut),
        ] {
            end(&queue, outcome);
        }
        queue.connected();
        let second = Duration::from_secs(1);
        let report = queue.report(second, 2 * second).expect("encodes");
        let one_each = Fates {
            scheduled: 7,
            ok: 1,
            bad_status: 1,
            bad_body: 1,
            err_connect: 1,
            err_read: 1,
            err_write: 1,
            timed_out: 1,
            ..Fates::default()
        };
        assert_eq!((report.fates, report.fates.sum()), (one_each, 7));
        assert_eq!((report.connects, report.elapsed, report.client_cpu), (1, second, 2 * second));
        assert_eq!(queue.first_error().as_deref(), Some("status 503 instead of 200"));
        // Only the right answer has a service time.
        assert_eq!((report.service.mean_ns, report.service.max_ns), (Some(5000.0), Some(5000)));
    }

    #[test]
    fn a_queue_hands_out_each_request_once() {
        let queue = Queue::new(3, 2);
        assert_eq!(queue.taken(), 0);
        assert_eq!([queue.take(), queue.take(), queue.take(), queue.take()], [true, true, true, false]);
        assert_eq!((queue.taken(), queue.gave_up()), (3, None));
    }

    #[test]
    fn a_server_that_hangs_is_given_up() {
        let queue = Queue::new(100, 1);
        for _ in 0..2 {
            assert!(queue.take());
            end(&queue, Err(Fate::TimedOut));
        }
        end(&queue, answer(200, "ab"));
        for _ in 0..3 {
            assert!(queue.take());
            end(&queue, Err(Fate::TimedOut));
        }
        assert!(!queue.take());
        assert!(queue.gave_up().expect("95 left").starts_with("gave up after 3 timeouts in a row, 95"));
    }

    #[test]
    fn a_queue_that_is_stopped_says_so() {
        let queue = Queue::new(2, 1);
        queue.stop();
        assert!(!queue.take());
        assert!(queue.gave_up().expect("2 left").starts_with("told to stop, 2"));
    }
}
