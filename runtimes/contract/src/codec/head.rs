//! From bytes to a request's head: the request line, the framing of the body, and what to refuse.

use http::{Method, Uri};
use httparse::Status;
use std::mem::MaybeUninit;

/// The most headers a request may have (hyper's default).
const MAX_HEADERS: usize = 100;
/// The longest request target (hyper's: the most that [`Uri`] can index).
const MAX_URI: usize = u16::MAX as usize - 1;
/// The longest header name that the `http` crate takes.
const MAX_HEADER_NAME: usize = u16::MAX as usize;

/// The version a request came with, and so the one its answer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes; 0 where there is no body.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// A request's head, but for its target, which [`Target`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The bytes it took.
    pub len: usize,
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// Whether the client wants the connection kept.
    pub keep_alive: bool,
    /// Whether the client waits for a `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// The body that follows.
    pub framing: Framing,
}

/// Why there is no request. The connection ends in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// With a 400.
    BadRequest,
    /// With a 414.
    UriTooLong,
    /// With a 431.
    TooLarge,
    /// Without an answer: HTTP/2's preface, and what hyper cannot answer either.
    Silent,
}

/// A request's path and query, in a buffer that is used again for every request.
#[derive(Debug, Default)]
pub struct Target {
    text: String,
    /// Where the query starts, after its question mark.
    query: Option<usize>,
}

impl Target {
    /// The path; empty where the target is only an authority, as CONNECT's is.
    pub fn path(&self) -> &str {
        self.query.map_or(&self.text, |at| &self.text[..at - 1])
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&str> {
        self.query.map(|at| &self.text[at..])
    }

    fn set(&mut self, path: &str, query: Option<&str>) {
        self.text.clear();
        self.text.push_str(path);
        self.query = query.map(|query| {
            self.text.push('?');
            let at = self.text.len();
            self.text.push_str(query);
            at
        });
    }

    /// Takes a target in any form. The usual one is copied; for the others hyper's own parser decides.
    fn parse(&mut self, target: &str) -> Result<(), Refusal> {
        if is_plain(target.as_bytes()) {
            match target.split_once('?') {
                Some((path, query)) => self.set(path, Some(query)),
                None => self.set(target, None),
            }
        } else {
            let uri = Uri::try_from(target).map_err(|_| Refusal::BadRequest)?;
            self.set(uri.path(), uri.query());
        }
        Ok(())
    }
}

/// Whether a target is a path with characters that no parser disagrees about.
fn is_plain(target: &[u8]) -> bool {
    target.first() == Some(&b'/')
        && target.iter().all(
            |b| matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'?' | b'=' | b'&' | b'-' | b'_' | b'.'),
        )
}

/// Parses the head that `bytes` start with; `None` while it is incomplete.
///
/// # Errors
/// The bytes are no head, or one that is refused.
pub fn parse(bytes: &[u8], target: &mut Target) -> Result<Option<Head>, Refusal> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(refusal(error, bytes)),
    };
    let (Some(method), Some(uri), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Refusal::BadRequest);
    };
    if uri.len() > MAX_URI {
        return Err(Refusal::UriTooLong);
    }
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::BadRequest)?;
    if request.headers.iter().any(|header| header.name.len() > MAX_HEADER_NAME) {
        return Err(Refusal::TooLarge);
    }
    target.parse(uri)?;
    let version = if minor == 1 { Version::Http11 } else { Version::Http10 };
    let meaning = Meaning::of(request.headers, version)?;
    Ok(Some(Head {
        len,
        method,
        version,
        keep_alive: meaning.keep_alive,
        expect_continue: meaning.expect_continue && version == Version::Http11,
        framing: meaning.framing,
    }))
}

/// Whether a head may have become complete since only the first `seen` bytes of it were there.
///
/// hyper looks for the empty line before it parses again, so an error in a head that arrives in
/// pieces is answered only once the head is whole. This does the same.
pub fn may_be_complete(bytes: &[u8], seen: usize) -> bool {
    if seen == 0 {
        return !bytes.is_empty();
    }
    let new = &bytes[seen.saturating_sub(3)..];
    new.iter().enumerate().any(|(i, b)| {
        let rest = &new[i + 1..];
        *b == b'\n' && (rest.starts_with(b"\n") || rest.starts_with(b"\r\n"))
    })
}

fn refusal(error: httparse::Error, bytes: &[u8]) -> Refusal {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let first = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or_default();
    match error {
        _ if bytes[first..].starts_with(PREFACE) => Refusal::Silent,
        httparse::Error::TooManyHeaders => Refusal::TooLarge,
        _ => Refusal::BadRequest,
    }
}

/// What the headers say about the connection and the body.
struct Meaning {
    keep_alive: bool,
    expect_continue: bool,
    framing: Framing,
}

impl Meaning {
    fn of(headers: &[httparse::Header<'_>], version: Version) -> Result<Meaning, Refusal> {
        let mut keep_alive = version == Version::Http11;
        let mut asked_to_close = false;
        let mut expect_continue = false;
        let mut length = None;
        let mut has_length = false;
        // Whether the last transfer-encoding, if there is any, ends in `chunked`.
        let mut chunked = None;
        for header in headers {
            let value = header.value;
            if is(header.name, "transfer-encoding") {
                if version == Version::Http10 {
                    return Err(Refusal::BadRequest);
                }
                chunked = Some(ends_in_chunked(value));
            } else if is(header.name, "content-length") {
                has_length = true;
                // A transfer-encoding overrides it, whatever it says, if it came before.
                if chunked.is_none() {
                    let new = content_length(value)?;
                    if length.is_some_and(|length| length != new) {
                        return Err(Refusal::BadRequest);
                    }
                    length = Some(new);
                }
            } else if is(header.name, "connection") {
                asked_to_close |= has_token(value, "close");
                keep_alive = !asked_to_close && (keep_alive || has_token(value, "keep-alive"));
            } else if is(header.name, "expect") {
                expect_continue = value.eq_ignore_ascii_case(b"100-continue");
            }
        }
        let framing = match chunked {
            Some(false) => return Err(Refusal::BadRequest),
            Some(true) => Framing::Chunked,
            None => Framing::Length(length.unwrap_or(0)),
        };
        // Both framings are a sign of request smuggling: answered, but nothing after it is.
        keep_alive &= !(chunked.is_some() && has_length);
        Ok(Meaning { keep_alive, expect_continue, framing })
    }
}

fn is(name: &str, known: &str) -> bool {
    name.eq_ignore_ascii_case(known)
}

/// Digits only, and repeated only with the same value.
fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::BadRequest);
    }
    let length: u64 =
        str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).ok_or(Refusal::BadRequest)?;
    // hyper keeps the two largest numbers for itself.
    if length > u64::MAX - 2 { Err(Refusal::TooLarge) } else { Ok(length) }
}

fn ends_in_chunked(value: &[u8]) -> bool {
    visible(value)
        .and_then(|text| text.rsplit(',').next())
        .is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"))
}

fn has_token(value: &[u8], token: &str) -> bool {
    visible(value).is_some_and(|text| text.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
}

/// A header's value as text, where it is nothing but visible ASCII, blanks and tabs.
fn visible(value: &[u8]) -> Option<&str> {
    let plain = value.iter().all(|b| matches!(b, b'\t' | b' '..=b'~'));
    if plain { str::from_utf8(value).ok() } else { None }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
