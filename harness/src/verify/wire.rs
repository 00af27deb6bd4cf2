//! Replies as they come over the wire: from bytes to a status, headers and a body, without I/O.

use std::time::Instant;

/// More headers than any server here sends; a reply with more is not understood.
const MAX_HEADERS: usize = 128;

/// One reply, as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// The status line without its line end.
    pub(super) status_line: String,
    /// The status code.
    pub(super) status: u16,
    /// The headers in their order, names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// The body, without the framing of chunks.
    pub(super) body: Vec<u8>,
    /// When its last byte had been read.
    pub(super) at: Instant,
}

impl Reply {
    /// The values of a header, joined as if it had been one.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> =
            self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(" | "))
    }
}

/// What the bytes received so far are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// A reply, and how many bytes it took.
    Complete(Reply, usize),
    /// The beginning of a reply.
    Partial,
    /// Not a reply.
    Garbage,
}

/// Parses the first reply in `bytes`.
///
/// `head` says that it answers a HEAD request, `ended` that no more bytes will come, `at` when the last
/// of them came.
pub(super) fn parse(bytes: &[u8], head: bool, ended: bool, at: Instant) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let size = match response.parse(bytes) {
        Ok(httparse::Status::Complete(size)) => size,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Garbage,
    };
    let Some(status) = response.code else { return Parsed::Garbage };
    let first_line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let mut reply = Reply {
        status_line: String::from_utf8_lossy(first_line).trim_end_matches('\r').to_owned(),
        status,
        headers: Vec::with_capacity(response.headers.len()),
        body: Vec::new(),
        at,
    };
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value).into_owned();
        reply.headers.push((header.name.to_ascii_lowercase(), value));
    }
    let rest = &bytes[size..];
    let body = if head || status < 200 || status == 204 || status == 304 {
        Body::Complete(Vec::new(), 0)
    } else if reply.header("transfer-encoding").is_some_and(|te| te.eq_ignore_ascii_case("chunked")) {
        chunks(rest)
    } else if let Some(length) = reply.header("content-length") {
        match length.parse::<usize>() {
            Ok(length) if length <= rest.len() => Body::Complete(rest[..length].to_vec(), length),
            Ok(_) => Body::Partial,
            Err(_) => Body::Garbage,
        }
    } else if ended {
        Body::Complete(rest.to_vec(), rest.len())
    } else {
        Body::Partial
    };
    match body {
        Body::Complete(body, used) => Parsed::Complete(Reply { body, ..reply }, size + used),
        Body::Partial => Parsed::Partial,
        Body::Garbage => Parsed::Garbage,
    }
}

enum Body {
    Complete(Vec<u8>, usize),
    Partial,
    Garbage,
}

fn chunks(bytes: &[u8]) -> Body {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let (start, size) = match httparse::parse_chunk_size(&bytes[at..]) {
            Ok(httparse::Status::Complete((start, size))) => (at + start, size),
            Ok(httparse::Status::Partial) => return Body::Partial,
            Err(_) => return Body::Garbage,
        };
        // No server here sends trailers.
        let Some(end) = usize::try_from(size).ok().and_then(|size| start.checked_add(size)) else {
            return Body::Garbage;
        };
        match bytes.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => {}
            Some(_) => return Body::Garbage,
            None => return Body::Partial,
        }
        if size == 0 {
            return Body::Complete(body, end + 2);
        }
        body.extend_from_slice(&bytes[start..end]);
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Parsed, Reply};

    fn parse(bytes: &[u8], head: bool, ended: bool) -> Parsed {
        super::parse(bytes, head, ended, Instant::now())
    }

    fn complete(bytes: &[u8], head: bool, ended: bool) -> (Reply, usize) {
        match parse(bytes, head, ended) {
            Parsed::Complete(reply, used) => (reply, used),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_prefix_is_partial() {
        for whole in [
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        ] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole.as_bytes()[..end], false, false), Parsed::Partial, "{end}");
            }
            let (reply, used) = complete(whole.as_bytes(), false, false);
            assert_eq!((reply.status, reply.body.as_slice(), used), (200, &b"hi"[..], whole.len()));
        }
    }

    #[test]
    fn bodies_end_where_they_should() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP";
        assert_eq!(complete(bytes, false, false).1, bytes.len() - 4);
        assert_eq!(complete(bytes, true, false).1, bytes.len() - 6);
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP";
        assert_eq!(complete(bytes, false, false).1, bytes.len() - 4);
        let bytes = b"HTTP/1.0 200 OK\r\n\r\nall of it";
        assert_eq!(parse(bytes, false, false), Parsed::Partial);
        assert_eq!(complete(bytes, false, true).0.body, b"all of it");
    }

    #[test]
    fn garbage_is_garbage() {
        for bytes in [
            "hello world\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiX\r\n",
        ] {
            assert_eq!(parse(bytes.as_bytes(), false, false), Parsed::Garbage, "{bytes}");
        }
    }

    #[test]
    fn a_repeated_header_shows() {
        let (reply, _) = complete(b"HTTP/1.1 204 No Content\r\nA: 1\r\na: 2\r\n\r\n", false, false);
        assert_eq!(reply.header("a").as_deref(), Some("1 | 2"));
        assert_eq!(reply.status_line, "HTTP/1.1 204 No Content");
    }
}
