//! Writing answers: a reply or a refusal, as bytes appended to a buffer that is used again.

use super::head::{Refusal, Version};
use crate::reply::Reply;
use httpdate::HttpDate;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a client that waits with its body is told.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What an answer depends on besides the reply itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The version of the request.
    pub version: Version,
    /// Whether the connection would be kept if the reply did not close it.
    pub keep_alive: bool,
    /// Whether the request was a HEAD, whose answer has no body.
    pub head_only: bool,
}

/// Appends `reply`. Says whether the connection stays open after it.
pub fn reply(out: &mut Vec<u8>, reply: &Reply, context: Context, date: &mut Date) -> bool {
    let Context { version, keep_alive, head_only } = context;
    status_line(out, version, reply.status, reply.reason());
    header(out, "content-type", reply.content_type.as_bytes());
    header(out, "x-process-time", reply.process_time().as_bytes());
    if let Some(allow) = reply.allow {
        header(out, "allow", allow.as_bytes());
    }
    connection(out, version, keep_alive, reply.close);
    end(out, reply.body.len(), date);
    if !head_only {
        out.extend_from_slice(reply.body.as_bytes());
    }
    keep_alive && !reply.close
}

/// Appends the answer to a request that could not be read. The connection closes after it.
pub fn refusal(out: &mut Vec<u8>, refusal: Refusal, version: Version, date: &mut Date) {
    let (status, reason) = match refusal {
        Refusal::BadRequest => (400, "Bad Request"),
        Refusal::UriTooLong => (414, "URI Too Long"),
        Refusal::TooLarge => (431, "Request Header Fields Too Large"),
        Refusal::Silent => return,
    };
    status_line(out, version, status, reason);
    connection(out, version, false, false);
    end(out, 0, date);
}

fn status_line(out: &mut Vec<u8>, version: Version, status: u16, reason: &str) {
    out.extend_from_slice(match version {
        Version::Http10 => b"HTTP/1.0 ",
        Version::Http11 => b"HTTP/1.1 ",
    });
    decimal(out, status);
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn connection(out: &mut Vec<u8>, version: Version, keep_alive: bool, close: bool) {
    let value: &[u8] = match (version, keep_alive, close) {
        (Version::Http11, true, false) | (Version::Http10, false, false) => return,
        (Version::Http11, _, _) | (Version::Http10, false, true) => b"close",
        (Version::Http10, true, false) => b"keep-alive",
        // A contradiction, and hyper's: it answers the client's wish without reading the reply's.
        (Version::Http10, true, true) => b"close, keep-alive",
    };
    header(out, "connection", value);
}

fn end(out: &mut Vec<u8>, body: usize, date: &mut Date) {
    out.extend_from_slice(b"content-length: ");
    decimal(out, body);
    out.extend_from_slice(b"\r\n");
    header(out, "date", date.now());
    out.extend_from_slice(b"\r\n");
}

fn header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn decimal(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The `date` header's value, written anew once a second.
///
/// A connection has its own: a coroutine may change its thread, so a thread's would not do.
#[derive(Debug)]
pub struct Date {
    second: u64,
    text: [u8; 29],
}

impl Date {
    /// Not written yet.
    pub fn new() -> Date {
        // Second 0 is in the past of every clock that has a year 2026.
        Date { second: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    fn now(&mut self) -> &[u8] {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if second != self.second {
            // Every HTTP date has 29 characters, so this cannot fail.
            if write!(&mut self.text[..], "{}", HttpDate::from(now)).is_ok() {
                self.second = second;
            }
        }
        &self.text
    }
}

impl Default for Date {
    fn default() -> Self {
        Date::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(what: &Reply, version: Version, keep_alive: bool, head_only: bool) -> (String, bool) {
        let mut out = Vec::new();
        let mut date = Date::new();
        let open = reply(&mut out, what, Context { version, keep_alive, head_only }, &mut date);
        let date = String::from_utf8(date.text.to_vec()).unwrap();
        (String::from_utf8(out).unwrap().replace(&date, "NOW"), open)
    }

    #[test]
    fn a_reply_is_written_as_hyper_writes_it() {
        let hello = Reply::ok("text/plain", "Hello");
        assert_eq!(
            encoded(&hello, Version::Http11, true, false),
            (
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-process-time: 0.000000000\r\n\
                 content-length: 5\r\ndate: NOW\r\n\r\nHello"
                    .to_owned(),
                true
            )
        );
        let (head, _) = encoded(&hello, Version::Http11, true, true);
        assert!(head.contains("content-length: 5\r\n") && head.ends_with("NOW\r\n\r\n"));
        let refused = Reply { allow: Some("GET, HEAD"), ..Reply::error(405, "no") };
        let (text, open) = encoded(&refused, Version::Http11, true, false);
        assert!(open && text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{text}");
        assert!(text.contains("\r\nallow: GET, HEAD\r\n"), "{text}");
    }

    #[test]
    fn the_connection_header_says_what_differs_from_the_version_s_default() {
        let hello = Reply::ok("text/plain", "Hello");
        let closing = Reply { close: true, ..hello.clone() };
        for (reply, version, keep_alive, expected, stays) in [
            (&hello, Version::Http11, true, None, true),
            (&hello, Version::Http11, false, Some("close"), false),
            (&hello, Version::Http10, true, Some("keep-alive"), true),
            (&hello, Version::Http10, false, None, false),
            (&closing, Version::Http11, true, Some("close"), false),
            (&closing, Version::Http11, false, Some("close"), false),
            (&closing, Version::Http10, true, Some("close, keep-alive"), false),
            (&closing, Version::Http10, false, Some("close"), false),
        ] {
            let (text, open) = encoded(reply, version, keep_alive, false);
            let header = text.lines().find_map(|line| line.strip_prefix("connection: "));
            assert_eq!((header, open), (expected, stays), "{version:?} {keep_alive} {}", reply.close);
        }
    }

    #[test]
    fn refusals_have_no_body_and_some_are_silent() {
        let mut out = Vec::new();
        refusal(&mut out, Refusal::Silent, Version::Http11, &mut Date::new());
        assert!(out.is_empty());
        refusal(&mut out, Refusal::TooLarge, Version::Http11, &mut Date::new());
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"));
        assert!(text.contains("\r\ncontent-length: 0\r\n") && text.ends_with("\r\n\r\n"));
    }
}
