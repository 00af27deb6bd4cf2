//! What a handler answers, before any HTTP stack has seen it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// `application/json`, the type of every reply but `/plaintext`.
pub const JSON: &str = "application/json";
/// `text/plain`, the type of `/plaintext`.
pub const TEXT: &str = "text/plain";

/// One answer: a status, a body, and how long the handler took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The `content-type` header.
    pub content_type: &'static str,
    /// The body; a HEAD request gets its length only.
    pub body: Cow<'static, str>,
    /// The `allow` header: set on a 405, absent elsewhere.
    pub allow: Option<&'static str>,
    /// Whether the connection must be closed after this answer.
    pub close: bool,
    /// The time the handler took: the `x-process-time` header.
    pub elapsed: Duration,
}

impl Reply {
    /// A 200 with this body.
    pub fn ok(content_type: &'static str, body: impl Into<Cow<'static, str>>) -> Reply {
        let body = body.into();
        Reply { status: 200, content_type, body, allow: None, close: false, elapsed: Duration::ZERO }
    }

    /// An error: a JSON body `{"detail": …}` that says what was wrong.
    pub fn error(status: u16, detail: &str) -> Reply {
        let body = serde_json::json!({ "detail": detail }).to_string();
        Reply { status, ..Reply::ok(JSON, body) }
    }

    /// 413: the request's body is longer than [`crate::MAX_BODY`]. Closes the connection, since the
    /// rest of the body was not read.
    pub fn body_too_long() -> Reply {
        let detail = format!("a request body may be at most {} bytes", crate::MAX_BODY);
        Reply { close: true, ..Reply::error(413, &detail) }
    }

    /// 400: the request's body could not be read. Closes the connection.
    pub fn bad_body() -> Reply {
        Reply { close: true, ..Reply::error(400, "the request body is malformed") }
    }

    /// 500: the handler panicked.
    pub fn panicked() -> Reply {
        Reply::error(500, "the handler panicked")
    }

    /// The value of the `x-process-time` header.
    pub fn process_time(&self) -> ProcessTime {
        ProcessTime::new(self.elapsed)
    }

    /// The status line's reason phrase.
    pub fn reason(&self) -> &'static str {
        match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            413 => "Payload Too Large",
            422 => "Unprocessable Entity",
            500 => "Internal Server Error",
            _ => "",
        }
    }
}

/// A duration as seconds with nine decimals, the form of `x-process-time`. Takes no memory but its own.
#[derive(Debug, Clone, Copy)]
pub struct ProcessTime {
    /// Room for the digits of a u64, the point, and the decimals.
    bytes: [u8; 30],
    len: usize,
}

impl ProcessTime {
    /// Writes `elapsed` down.
    pub fn new(elapsed: Duration) -> ProcessTime {
        let (mut seconds, mut nanos) = (itoa::Buffer::new(), itoa::Buffer::new());
        let seconds = seconds.format(elapsed.as_secs()).as_bytes();
        let nanos = nanos.format(elapsed.subsec_nanos()).as_bytes();
        let mut bytes = [b'0'; 30];
        let len = seconds.len() + 1 + 9;
        bytes[..seconds.len()].copy_from_slice(seconds);
        bytes[seconds.len()] = b'.';
        bytes[len - nanos.len()..len].copy_from_slice(nanos);
        ProcessTime { bytes, len }
    }

    /// The digits and the point, in ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Display for ProcessTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(str::from_utf8(self.as_bytes()).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_time_is_a_decimal_number_of_seconds() {
        for (elapsed, text) in [
            (Duration::ZERO, "0.000000000"),
            (Duration::from_nanos(1), "0.000000001"),
            (Duration::from_micros(50_123), "0.050123000"),
            (Duration::from_nanos(999_999_999), "0.999999999"),
            (Duration::from_nanos(12_000_000_007), "12.000000007"),
            (Duration::from_secs(60), "60.000000000"),
            (Duration::MAX, "18446744073709551615.999999999"),
        ] {
            assert_eq!(ProcessTime::new(elapsed).to_string(), text);
        }
    }

    #[test]
    fn errors_are_json() {
        let reply = Reply::error(422, "say \"n\"");
        assert_eq!(reply.body, r#"{"detail":"say \"n\""}"#);
        assert_eq!(reply.content_type, JSON);
    }
}
