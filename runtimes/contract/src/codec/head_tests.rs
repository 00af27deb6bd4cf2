//! What the parser of heads takes and refuses.

use super::*;

/// Parses and forgets the target.
fn parsed(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    parse(bytes, &mut Target::default())
}

/// The head of a request with these header lines.
fn with(version: &str, lines: &str) -> Result<Head, Refusal> {
    let text = format!("GET / HTTP/{version}\r\n{lines}\r\n");
    parsed(text.as_bytes()).map(|head| head.expect("complete"))
}

fn target(target: &str) -> Option<(String, Option<String>)> {
    let mut parsed = Target::default();
    parsed.parse(target).ok()?;
    Some((parsed.path().to_owned(), parsed.query().map(str::to_owned)))
}

#[test]
fn a_head_is_incomplete_until_its_last_byte() {
    let text = b"HEAD /wait?ms=5 HTTP/1.1\r\nHost: x\r\n\r\nGET /";
    let len = text.len() - 5;
    for end in 1..len {
        assert_eq!(parsed(&text[..end]), Ok(None), "{end}");
    }
    let head = parsed(text).unwrap().unwrap();
    assert_eq!((head.len, head.method), (len, Method::HEAD));
    assert_eq!((head.version, head.keep_alive), (Version::Http11, true));
    assert_eq!((head.framing, head.expect_continue), (Framing::Length(0), false));
}

#[test]
fn a_head_in_pieces_is_parsed_again_only_at_an_empty_line() {
    let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
    assert!(may_be_complete(b"G", 0));
    assert!(!may_be_complete(b"", 0));
    for seen in 1..text.len() - 1 {
        assert!(!may_be_complete(&text[..=seen], seen) || seen + 1 == text.len(), "{seen}");
        assert!(may_be_complete(text, seen), "{seen}");
    }
    assert!(may_be_complete(b"GET / HTTP/1.1\n\n", 15));
    assert!(may_be_complete(b"GET / HTTP/1.1\n\r\n", 16));
}

#[test]
fn targets_of_every_form_are_split() {
    for (text, path, query) in [
        ("/", "/", None),
        ("/wait?ms=5", "/wait", Some("ms=5")),
        ("/wait?", "/wait", Some("")),
        ("/wait?a?b", "/wait", Some("a?b")),
        ("/a%20b", "/a%20b", None),
        ("/wait#fragment", "/wait", None),
        ("*", "*", None),
        ("http://host:80/fib/3?x", "/fib/3", Some("x")),
        ("http://host", "/", None),
        ("host:80", "", None),
    ] {
        assert_eq!(target(text), Some((path.to_owned(), query.map(str::to_owned))), "{text}");
    }
    for text in ["/<", "wait/", "http://", "http:///x"] {
        assert_eq!(target(text), None, "{text}");
    }
}

#[test]
fn a_target_does_not_remember_the_last_one() {
    let mut target = Target::default();
    for (text, path, query) in [("/wait?ms=5", "/wait", Some("ms=5")), ("/", "/", None)] {
        target.parse(text).unwrap();
        assert_eq!((target.path(), target.query()), (path, query));
    }
}

#[test]
fn lengths_are_digits_and_agree() {
    let length = |lines: &str| with("1.1", lines).map(|head| head.framing);
    assert_eq!(length("Content-Length: 7\r\n"), Ok(Framing::Length(7)));
    assert_eq!(length("Content-Length: 007\r\n"), Ok(Framing::Length(7)));
    assert_eq!(length("Content-Length: 7\r\ncontent-length: 7\r\n"), Ok(Framing::Length(7)));
    for value in ["", "-1", "+1", "1 1", "1,1", "0x1", "1.0", "18446744073709551616"] {
        let line = format!("Content-Length: {value}\r\n");
        assert_eq!(length(&line), Err(Refusal::BadRequest), "{value}");
    }
    assert_eq!(length("Content-Length: 7\r\nContent-Length: 8\r\n"), Err(Refusal::BadRequest));
    assert_eq!(length("Content-Length: 18446744073709551615\r\n"), Err(Refusal::TooLarge));
}

#[test]
fn a_transfer_encoding_ends_in_chunked_or_is_refused() {
    let framed = |lines: &str| with("1.1", lines).map(|head| (head.framing, head.keep_alive));
    assert_eq!(framed("Transfer-Encoding: chunked\r\n"), Ok((Framing::Chunked, true)));
    assert_eq!(framed("Transfer-Encoding: gzip, Chunked \r\n"), Ok((Framing::Chunked, true)));
    for lines in ["chunked, gzip\r\n", "gzip\r\n", "\r\n", "chunked\r\nTransfer-Encoding: gzip\r\n"] {
        let lines = format!("Transfer-Encoding: {lines}");
        assert_eq!(framed(&lines), Err(Refusal::BadRequest), "{lines}");
    }
    assert_eq!(with("1.0", "Transfer-Encoding: chunked\r\n"), Err(Refusal::BadRequest));
    // Both framings: chunked counts, and the connection closes.
    let both = Ok((Framing::Chunked, false));
    assert_eq!(framed("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), both);
    assert_eq!(framed("Transfer-Encoding: chunked\r\nContent-Length: x\r\n"), both);
}

#[test]
fn connection_and_version_decide_what_is_kept() {
    for (version, lines, kept) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
    ] {
        assert_eq!(with(version, lines).unwrap().keep_alive, kept, "{version} {lines}");
    }
}

#[test]
fn only_http_1_1_can_expect() {
    let expects = |version, line| with(version, line).unwrap().expect_continue;
    assert!(expects("1.1", "Expect: 100-Continue\r\n"));
    assert!(!expects("1.1", "Expect: 200-ok\r\n"));
    assert!(!expects("1.0", "Expect: 100-continue\r\n"));
}

#[test]
fn limits_have_their_own_answers() {
    let headers = |count| "A: b\r\n".repeat(count);
    assert!(with("1.1", &headers(MAX_HEADERS)).is_ok());
    assert_eq!(with("1.1", &headers(MAX_HEADERS + 1)), Err(Refusal::TooLarge));
    let uri = |len| parsed(format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(len - 1)).as_bytes());
    assert!(uri(MAX_URI).is_ok());
    assert_eq!(uri(MAX_URI + 1), Err(Refusal::UriTooLong));
    let name = |len| with("1.1", &format!("{}: b\r\n", "a".repeat(len)));
    assert!(name(MAX_HEADER_NAME).is_ok());
    assert_eq!(name(MAX_HEADER_NAME + 1), Err(Refusal::TooLarge));
}

#[test]
fn what_is_no_http_is_refused() {
    for text in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
    ] {
        assert_eq!(parsed(text), Err(Refusal::BadRequest), "{}", text.escape_ascii());
    }
    assert_eq!(parsed(b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err(Refusal::Silent));
}
