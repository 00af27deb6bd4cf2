//! Counting: one worker's requests, their fates and service times, and their sum over all workers.

use crate::gauge::Gauge;
use crate::histogram;
use crate::protocol::{Expect, Fates, PartReport};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    Connect(String),
    Write(String),
    Read(String),
    TimedOut,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(error) => write!(f, "cannot connect: {error}"),
            Failure::Write(error) => write!(f, "cannot send: {error}"),
            Failure::Read(error) => f.write_str(error),
            Failure::TimedOut => f.write_str("no answer in time"),
        }
    }
}

/// An answer, before it is judged.
#[derive(Debug)]
pub(super) struct Answer {
    /// From the first byte written to the last byte read.
    pub(super) service: Duration,
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What one worker has seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    fates: Fates,
    service_ns: Vec<u64>,
    connects: u64,
    first_error: Option<String>,
}

impl Tally {
    /// A connection was opened.
    pub(super) fn connected(&mut self) {
        self.connects += 1;
    }

    /// Gives a request its fate.
    pub(super) fn record(&mut self, outcome: Result<Answer, Failure>, expect: &Expect) {
        self.fates.scheduled += 1;
        let (fate, error) = match outcome {
            Ok(answer) if answer.status != expect.status => {
                (&mut self.fates.bad_status, format!("status {} instead of {}", answer.status, expect.status))
            }
            Ok(answer) if !expect.body.accepts(&answer.body) => {
                (&mut self.fates.bad_body, format!("a wrong body: {}", excerpt(&answer.body)))
            }
            Ok(answer) => {
                self.fates.ok += 1;
                self.service_ns.push(u64::try_from(answer.service.as_nanos()).unwrap_or(u64::MAX));
                return;
            }
            Err(failure) => {
                let fate = match failure {
                    Failure::Connect(_) => &mut self.fates.err_connect,
                    Failure::Write(_) => &mut self.fates.err_write,
                    Failure::Read(_) => &mut self.fates.err_read,
                    Failure::TimedOut => &mut self.fates.timed_out,
                };
                (fate, failure.to_string())
            }
        };
        *fate += 1;
        self.first_error.get_or_insert(error);
    }

    /// Adds what another worker has seen.
    pub(super) fn add(&mut self, other: Tally) {
        self.fates.add(other.fates);
        self.connects += other.connects;
        self.service_ns.extend(other.service_ns);
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// The first thing that went wrong.
    pub(super) fn first_error(&self) -> Option<String> {
        self.first_error.clone()
    }

    /// The report, but for the times the whole client took.
    pub(super) fn report(self) -> Result<PartReport, String> {
        Ok(PartReport {
            fates: self.fates,
            connects: self.connects,
            service: histogram::latency(&self.service_ns)?,
            ..PartReport::default()
        })
    }
}

fn excerpt(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(80).collect();
    format!("{} bytes, {text:?}", body.len())
}

/// The requests of an order, handed out one at a time to all workers.
#[derive(Debug)]
pub(super) struct Queue {
    requests: u64,
    left: AtomicU64,
    timeouts: AtomicU64,
    give_up_after: u64,
    stopped: AtomicBool,
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

    /// Says how the request ended.
    pub(super) fn ended(&self, outcome: &Result<Answer, Failure>) {
        if matches!(outcome, Err(Failure::TimedOut)) {
            if self.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= self.give_up_after {
                self.stop();
            }
        } else if self.timeouts.load(Ordering::Relaxed) > 0 {
            self.timeouts.store(0, Ordering::Relaxed);
        }
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

    fn expect() -> Expect {
        Expect { status: 200, body: ExpectBody::Exact("ab".into()) }
    }

    fn answer(status: u16, body: &str) -> Result<Answer, Failure> {
        Ok(Answer { service: Duration::from_micros(5), status, body: body.into() })
    }

    #[test]
    fn every_request_has_one_fate_and_they_add_up() {
        let mut tally = Tally::default();
        for outcome in [
            answer(200, "ab"),
            answer(503, "ab"),
            answer(200, "a"),
            Err(Failure::Connect("x".into())),
            Err(Failure::Write("x".into())),
            Err(Failure::Read("x".into())),
            Err(Failure::TimedOut),
        ] {
            tally.record(outcome, &expect());
        }
        let mut sum = Tally::default();
        sum.add(tally);
        assert_eq!(sum.first_error().as_deref(), Some("status 503 instead of 200"));
        let report = sum.report().expect("encodes");
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
        assert_eq!(report.fates, one_each);
        assert_eq!(report.fates.sum(), 7);
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
            queue.ended(&Err(Failure::TimedOut));
        }
        queue.ended(&answer(200, "ab"));
        for _ in 0..3 {
            assert!(queue.take());
            queue.ended(&Err(Failure::TimedOut));
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
