//! An incremental parser of HTTP/1.1 responses: bytes in, "incomplete" or a whole response out.
//!
//! Sans-IO. It keeps no copy of its own: the caller's buffer holds the head and the body as they came,
//! and is parsed again only where more bytes can have changed the outcome.

use httparse::{EMPTY_HEADER, ParserConfig, Status};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Headers a response may have before it counts as malformed.
const MAX_HEADERS: usize = 96;
/// Bytes a response may have before it counts as malformed: no server here answers with more.
pub const MAX_RESPONSE: usize = 64 << 20;

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body, chunks joined.
    pub body: Body,
    /// How many bytes of the buffer the response took.
    pub length: usize,
    /// Whether the connection can carry another request.
    pub keep_alive: bool,
}

/// Where the body is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// In the buffer, as it came.
    InPlace(Range<usize>),
    /// Put together from chunks.
    Joined(Vec<u8>),
}

impl Body {
    /// The body's bytes, given the buffer that was parsed.
    pub fn bytes<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match self {
            Body::InPlace(range) => &buffer[range.clone()],
            Body::Joined(bytes) => bytes,
        }
    }
}

/// What a response's head says about the rest of it.
#[derive(Debug, Clone, Copy)]
struct Head {
    status: u16,
    length: usize,
    framing: Framing,
    keep_alive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Parses one response after the other.
#[derive(Debug, Default)]
pub struct Parser {
    head: Option<Head>,
}

impl Parser {
    /// A parser at the start of a response.
    pub fn new() -> Parser {
        Parser::default()
    }

    /// Looks at all bytes received so far for this response; `ended` says that no more will come.
    /// After a whole response the parser is ready for the next one.
    ///
    /// # Errors
    /// What is malformed, or that the connection ended too early.
    pub fn parse(&mut self, buffer: &[u8], ended: bool) -> Result<Option<Response>, String> {
        let head = match self.head {
            Some(head) => head,
            None => match parse_head(buffer)? {
                Some(head) => *self.head.insert(head),
                None if ended => return Err(early_end(buffer)),
                None => return Ok(None),
            },
        };
        let rest = &buffer[head.length..];
        let (body, length) = match head.framing {
            Framing::Length(length) if rest.len() >= length => {
                (Body::InPlace(head.length..head.length + length), head.length + length)
            }
            Framing::UntilClose if ended => (Body::InPlace(head.length..buffer.len()), buffer.len()),
            Framing::Chunked => match join_chunks(rest)? {
                Some((body, length)) => (Body::Joined(body), head.length + length),
                None if ended => return Err(early_end(buffer)),
                None => return Ok(None),
            },
            _ if ended => return Err(early_end(buffer)),
            _ => return Ok(None),
        };
        self.head = None;
        Ok(Some(Response { status: head.status, body, length, keep_alive: head.keep_alive }))
    }
}

fn early_end(buffer: &[u8]) -> String {
    match buffer.len() {
        0 => "the connection was closed without an answer".into(),
        n => format!("the connection was closed after {n} bytes of an answer"),
    }
}

fn parse_head(buffer: &[u8]) -> Result<Option<Head>, String> {
    // Not initialised: that would take as long as parsing the few headers that come.
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut response, buffer, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("the answer is not HTTP: {error}")),
    };
    let status = response.code.ok_or("the answer has no status")?;
    if (100..200).contains(&status) {
        return Err(format!("an interim answer ({status}) that was not asked for"));
    }
    let mut framing = Framing::UntilClose;
    let mut keep_alive = response.version == Some(1);
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        if header.name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunked {
            let length = value.parse().map_err(|_| format!("a content-length of '{value}'"))?;
            if length > MAX_RESPONSE {
                return Err(format!("an answer of {length} bytes is too long"));
            }
            framing = Framing::Length(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            keep_alive = !value.eq_ignore_ascii_case("close")
                && (keep_alive || value.eq_ignore_ascii_case("keep-alive"));
        }
    }
    if matches!(status, 204 | 304) {
        framing = Framing::Length(0);
    }
    keep_alive &= framing != Framing::UntilClose;
    Ok(Some(Head { status, length, framing, keep_alive }))
}

/// Joins the chunks of a chunked body; `None` if the last one has not come yet.
fn join_chunks(bytes: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (start, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(Status::Complete((line, size))) => (at + line, usize::try_from(size).unwrap_or(usize::MAX)),
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err("a malformed chunk".into()),
        };
        if size > MAX_RESPONSE - body.len() {
            return Err("the answer is too long".into());
        }
        if size == 0 {
            // Trailers, if any, end with an empty line as headers do.
            let mut none = [EMPTY_HEADER; MAX_HEADERS];
            return match httparse::parse_headers(&bytes[start..], &mut none) {
                Ok(Status::Complete((length, _))) => Ok(Some((body, start + length))),
                Ok(Status::Partial) => Ok(None),
                Err(error) => Err(format!("malformed trailers: {error}")),
            };
        }
        let end = start + size;
        match bytes.get(end..end + 2) {
            Some(b"\r\n") => body.extend_from_slice(&bytes[start..end]),
            Some(_) => return Err("a chunk longer than it says".into()),
            None => return Ok(None),
        }
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` one more at a time, and returns what came out and after how many.
    fn drip(bytes: &[u8], ended: bool) -> Result<(Response, usize), String> {
        let mut parser = Parser::new();
        for n in 0..=bytes.len() {
            if let Some(response) = parser.parse(&bytes[..n], false)? {
                return Ok((response, n));
            }
        }
        match parser.parse(bytes, ended)? {
            Some(response) => Ok((response, bytes.len())),
            None => Err("incomplete".into()),
        }
    }

    #[test]
    fn every_framing_is_found_at_its_last_byte() {
        for (text, body, keep_alive) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", "abc", true),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "abc", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", "abc", false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nabc", "abc", true),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n",
                "abc",
                true,
            ),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n", "", true),
            ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
        ] {
            let (response, n) = drip(text.as_bytes(), false).expect(text);
            assert_eq!(n, text.len(), "{text}");
            assert_eq!(response.body.bytes(text.as_bytes()), body.as_bytes(), "{text}");
            assert_eq!((response.keep_alive, response.length), (keep_alive, n), "{text}");
        }
    }

    #[test]
    fn without_framing_the_body_lasts_until_the_end() {
        let text = b"HTTP/1.1 200 OK\r\n\r\nabc";
        assert_eq!(drip(text, false), Err("incomplete".into()));
        let (response, _) = drip(text, true).expect("ended");
        assert_eq!(response.body.bytes(text), b"abc");
        assert!(!response.keep_alive);
    }

    #[test]
    fn an_early_end_and_nonsense_are_errors() {
        for text in [
            "",
            "HTTP/1.1 200",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab",
        ] {
            assert!(drip(text.as_bytes(), true).expect_err(text).contains("was closed"), "{text}");
        }
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert!(drip(text.as_bytes(), false).is_err(), "{text}");
        }
    }

    #[test]
    fn responses_follow_each_other() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let mut parser = Parser::new();
        let first = parser.parse(text, false).expect("valid").expect("whole");
        let second = parser.parse(&text[first.length..], false).expect("valid").expect("whole");
        assert_eq!((first.status, second.status), (200, 404));
    }
}
