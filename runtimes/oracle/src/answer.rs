//! The bytes of an answer: what the contract expects of the target, with what goes wrong on purpose.

use crate::faults::Fate;
use contract::reply::Reply;
use contract::route::{PROBE, Route};
use httpdate::HttpDate;
use std::time::SystemTime;

/// How many targets are remembered: a run asks for one or a few.
const REMEMBERED: usize = 64;

/// Which answer a request gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    /// The target, as [`Answers::find`] numbered it.
    pub(crate) target: usize,
    /// Whether it is a HEAD, whose answer has no body.
    pub(crate) head_only: bool,
}

/// Everything an answer may say. One a process: the replies of the targets seen, and the date.
#[derive(Debug)]
pub(crate) struct Answers {
    targets: Vec<(Box<str>, Reply)>,
    /// The second that `date` is of, on the monotonic clock.
    second: u64,
    date: String,
}

impl Answers {
    pub(crate) fn new() -> Answers {
        let probe = Route::parse_target(PROBE.example).expect("a route's example is a target");
        Answers { targets: vec![(PROBE.example.into(), probe.expected())], second: 0, date: String::new() }
    }

    /// The number of this target. Where there is no such route it is that of /plaintext.
    pub(crate) fn find(&mut self, target: &str) -> usize {
        if let Some(index) = self.targets.iter().position(|(known, _)| **known == *target) {
            return index;
        }
        let route = Route::parse_target(target).ok().filter(|_| self.targets.len() < REMEMBERED);
        // A client that asks for more targets than that is not the harness: it gets the first one's.
        let Some(route) = route else { return 0 };
        self.targets.push((target.into(), route.expected()));
        self.targets.len() - 1
    }

    /// Appends an answer at the instant `now`; `sojourn` is how long the request was here, in nanoseconds.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        wanted: Wanted,
        fate: Fate,
        sojourn: u64,
        close: bool,
        now: u64,
    ) {
        let refusal;
        let (status, reply) = if fate == Fate::Status {
            refusal = Reply::error(503, "a fault that was asked for");
            ("503 Service Unavailable", &refusal)
        } else {
            ("200 OK", &self.targets[wanted.target].1)
        };
        if self.second != now / 1_000_000_000 || self.date.is_empty() {
            self.second = now / 1_000_000_000;
            self.date = HttpDate::from(SystemTime::now()).to_string();
        }
        let body = reply.body.as_bytes();
        let mut number = itoa::Buffer::new();
        for part in ["HTTP/1.1 ", status, "\r\ncontent-type: ", reply.content_type, "\r\nx-process-time: "] {
            out.extend_from_slice(part.as_bytes());
        }
        out.extend_from_slice(number.format(sojourn / 1_000_000_000).as_bytes());
        out.push(b'.');
        let nanos = number.format(sojourn % 1_000_000_000).as_bytes();
        out.extend_from_slice(&b"000000000"[nanos.len()..]);
        out.extend_from_slice(nanos);
        if close {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        out.extend_from_slice(b"\r\ncontent-length: ");
        out.extend_from_slice(number.format(body.len()).as_bytes());
        for part in ["\r\ndate: ", &self.date, "\r\n\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        let sent = match (wanted.head_only, fate) {
            (true, _) => 0,
            (false, Fate::Truncate) => body.len() / 2,
            (false, _) => body.len(),
        };
        out.extend_from_slice(&body[..sent]);
        if fate == Fate::Body
            && let Some(last) = out.last_mut().filter(|_| sent > 0)
        {
            *last ^= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(target: &str, head_only: bool, fate: Fate, close: bool) -> String {
        let mut answers = Answers::new();
        let wanted = Wanted { target: answers.find(target), head_only };
        let mut out = Vec::new();
        answers.write(&mut out, wanted, fate, 2_000_000_345, close, 5);
        let text = String::from_utf8(out).expect("ASCII");
        let (before, rest) = text.split_once("date: ").expect("a date");
        let (_, after) = rest.split_once(" GMT\r\n").expect("a date in form");
        format!("{before}{after}")
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-process-time: 2.000000345\r\ncontent-length: 13\r\n\r\n";

    #[test]
    fn every_route_gets_its_own_answer_and_the_rest_plaintext() {
        assert_eq!(written("/plaintext", false, Fate::Answer, false), format!("{HEAD}Hello, World!"));
        assert_eq!(written("/no/such", false, Fate::Answer, false), format!("{HEAD}Hello, World!"));
        assert!(written("/fib/30", false, Fate::Answer, false).ends_with("\r\n\r\n{\"fib\":1346269}"));
        assert!(written("/asyncwait?ms=5", false, Fate::Answer, false).ends_with("{\"duration\":0.005}"));
        assert_eq!(written("/plaintext", true, Fate::Answer, false), HEAD);
    }

    #[test]
    fn faults_show_where_they_should() {
        assert_eq!(written("/", false, Fate::Truncate, false), format!("{HEAD}Hello,"));
        assert_eq!(written("/", false, Fate::Body, false), format!("{HEAD}Hello, World "));
        assert_eq!(written("/", true, Fate::Body, false), HEAD);
        assert!(written("/", false, Fate::Status, false).starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(written("/", false, Fate::Answer, true).contains("\r\nconnection: close\r\n"));
    }

    #[test]
    fn endless_targets_are_not_remembered() {
        let mut answers = Answers::new();
        for ms in 0..1000 {
            answers.find(&format!("/wait?ms={ms}"));
        }
        assert_eq!(answers.targets.len(), REMEMBERED);
    }
}
