//! How a request ends.

use crate::protocol::{Expect, Fates};
use std::fmt;

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Answered as expected.
    Ok,
    /// Answered with another status.
    BadStatus {
        /// The status.
        got: u16,
        /// The right one.
        expected: u16,
    },
    /// Answered with the right status and another body, of which this is the beginning.
    BadBody(String),
    /// No connection, and why.
    ErrConnect(String),
    /// No readable answer, and why.
    ErrRead(String),
    /// It could not be sent, and why.
    ErrWrite(String),
    /// No whole answer in time.
    TimedOut,
    /// Never sent.
    Shed,
    /// Under way when the client was told to stop.
    InFlight,
}

impl Fate {
    /// The fate of a request that was answered so.
    pub(super) fn of_answer(status: u16, body: &[u8], expect: &Expect) -> Fate {
        if status != expect.status {
            Fate::BadStatus { got: status, expected: expect.status }
        } else if !expect.body.accepts(body) {
            Fate::BadBody(excerpt(body))
        } else {
            Fate::Ok
        }
    }

    /// Where requests with this fate are counted.
    pub(super) fn counter<'a>(&self, fates: &'a mut Fates) -> &'a mut u64 {
        match self {
            Fate::Ok => &mut fates.ok,
            Fate::BadStatus { .. } => &mut fates.bad_status,
            Fate::BadBody(_) => &mut fates.bad_body,
            Fate::ErrConnect(_) => &mut fates.err_connect,
            Fate::ErrRead(_) => &mut fates.err_read,
            Fate::ErrWrite(_) => &mut fates.err_write,
            Fate::TimedOut => &mut fates.timed_out,
            Fate::Shed => &mut fates.shed,
            Fate::InFlight => &mut fates.in_flight_at_end,
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Ok => f.write_str("answered as expected"),
            Fate::BadStatus { got, expected } => write!(f, "status {got} instead of {expected}"),
            Fate::BadBody(excerpt) => write!(f, "a wrong body: {excerpt}"),
            Fate::ErrConnect(error) => write!(f, "cannot connect: {error}"),
            Fate::ErrRead(error) => f.write_str(error),
            Fate::ErrWrite(error) => write!(f, "cannot send: {error}"),
            Fate::TimedOut => f.write_str("no answer in time"),
            Fate::Shed => f.write_str("no connection was free in time"),
            Fate::InFlight => f.write_str("still under way when the client was told to stop"),
        }
    }
}

fn excerpt(body: &[u8]) -> String {
    /// The most bytes that are looked at: four for each of the characters shown.
    const LOOKED_AT: usize = 320;
    let text: String = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT)]).chars().take(80).collect();
    format!("{} bytes, {text:?}", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ExpectBody;

    #[test]
    fn an_answer_is_right_or_says_what_is_wrong() {
        let expect = Expect { status: 200, body: ExpectBody::Exact("ab".into()) };
        let of = |status, body: &[u8]| Fate::of_answer(status, body, &expect);
        assert_eq!(of(200, b"ab"), Fate::Ok);
        assert_eq!(of(503, b"ab").to_string(), "status 503 instead of 200");
        assert_eq!(of(200, b"a").to_string(), "a wrong body: 1 bytes, \"a\"");
        let long = of(200, "ä".repeat(1 << 20).as_bytes()).to_string();
        assert_eq!(long, format!("a wrong body: 2097152 bytes, \"{}\"", "ä".repeat(80)));
    }

    #[test]
    fn every_fate_has_a_counter_of_its_own() {
        let text = || String::from("x");
        let mut fates = Fates::default();
        for fate in [
            Fate::Ok,
            Fate::BadStatus { got: 1, expected: 2 },
            Fate::BadBody(text()),
            Fate::ErrConnect(text()),
            Fate::ErrRead(text()),
            Fate::ErrWrite(text()),
            Fate::TimedOut,
            Fate::Shed,
            Fate::InFlight,
        ] {
            *fate.counter(&mut fates) += 1;
        }
        let one_each = Fates {
            scheduled: 0,
            ok: 1,
            bad_status: 1,
            bad_body: 1,
            err_connect: 1,
            err_read: 1,
            err_write: 1,
            timed_out: 1,
            shed: 1,
            in_flight_at_end: 1,
        };
        assert_eq!((fates, fates.sum()), (one_each, 9));
    }
}
