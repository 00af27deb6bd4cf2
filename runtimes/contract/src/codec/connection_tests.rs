//! The connection loop against a client made of bytes.

use super::*;
use crate::handler::Calls;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::mem;
use std::net::{TcpListener, TcpStream};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

/// A handler's runtime without waiting.
#[derive(Clone)]
struct Inline;

impl Runtime for Inline {
    const CALLS: Calls = Calls::Plain;
    async fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }
    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }
}

/// Sends its pieces one a read, then the end of the stream or, if it is silent, nothing more.
struct Client {
    pieces: VecDeque<Vec<u8>>,
    silent: bool,
    received: Vec<u8>,
    /// For its number alone.
    socket: UnixStream,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.pieces.front_mut() else {
            return if self.silent { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(0) };
        };
        let len = piece.len().min(buffer.len());
        buffer[..len].copy_from_slice(&piece[..len]);
        piece.drain(..len);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        Ok(len)
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.received.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Client {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        // What a socket refuses too.
        assert_ne!(timeout, Some(Duration::ZERO));
        Ok(())
    }
}

/// What comes back for these pieces, without what differs from time to time.
fn exchange(pieces: impl IntoIterator<Item = Vec<u8>>, silent: bool) -> String {
    let connections = Connections::new();
    let (socket, _peer) = UnixStream::pair().unwrap();
    let client = Client { pieces: pieces.into_iter().collect(), silent, received: Vec::new(), socket };
    let mut connection =
        Connection::new(connections.enter(Blocking::new(client)), Some(Duration::from_secs(60)));
    let config = Config { parallelism: 1, panic_route: true };
    poll_once(connection.run(&Inline, config)).unwrap().unwrap();
    let text = String::from_utf8(mem::take(&mut connection.stream.socket_mut().socket.received)).unwrap();
    text.split_inclusive("\r\n")
        .filter(|line| !line.starts_with("date: ") && !line.starts_with("x-process-time: "))
        .collect()
}

/// The same answer however the bytes arrive.
fn always(bytes: &[u8], expected: &str) {
    let whole = exchange([bytes.to_vec()], true);
    assert_eq!(whole, expected, "{}", bytes.escape_ascii());
    let single = exchange(bytes.iter().map(|b| vec![*b]), false);
    assert_eq!(single, expected, "{} byte by byte", bytes.escape_ascii());
    if bytes.len() < 200 {
        for at in 1..bytes.len() {
            let halves = exchange([bytes[..at].to_vec(), bytes[at..].to_vec()], true);
            assert_eq!(halves, expected, "{} split at {at}", bytes.escape_ascii());
        }
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, World!";
const GET: &str = "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";

fn closing(answer: &str) -> String {
    answer.replacen("content-length", "connection: close\r\ncontent-length", 1)
}

fn refused(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}

#[test]
fn requests_are_answered_whole_split_and_pipelined() {
    always(GET.as_bytes(), HELLO);
    always(GET.repeat(3).as_bytes(), &HELLO.repeat(3));
    assert_eq!(exchange([GET.repeat(100).into_bytes()], false), HELLO.repeat(100));
    always(b"\r\n\r\nGET /plaintext HTTP/1.1\n\n", HELLO);
}

#[test]
fn a_head_request_gets_the_head() {
    let head = HELLO.strip_suffix("Hello, World!").unwrap();
    let text = GET.replace("GET", "HEAD") + GET;
    always(text.as_bytes(), &(head.to_owned() + HELLO));
}

#[test]
fn nothing_is_answered_after_a_closing_reply() {
    let text = GET.replace("Host: x", "Connection: close") + GET;
    always(text.as_bytes(), &closing(HELLO));
    let old = HELLO.replace("HTTP/1.1", "HTTP/1.0");
    always((GET.replace("1.1", "1.0") + GET).as_bytes(), &old);
    let kept = old.replace("content-length", "connection: keep-alive\r\ncontent-length");
    let text = GET.replace("1.1\r\n", "1.0\r\nConnection: keep-alive\r\n").repeat(2);
    always(text.as_bytes(), &kept.repeat(2));
}

#[test]
fn bodies_are_dropped_and_do_not_become_requests() {
    let length = format!("GET /plaintext HTTP/1.1\r\nContent-Length: {}\r\n\r\n{GET}", GET.len());
    always((length + GET).as_bytes(), &HELLO.repeat(2));
    let chunked = format!(
        "GET /plaintext HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{GET}\r\n0\r\n\r\n{GET}",
        GET.len()
    );
    always(chunked.as_bytes(), &HELLO.repeat(2));
}

#[test]
fn broken_and_cut_bodies_are_a_400() {
    let bad = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\
               content-length: 42\r\n\r\n{\"detail\":\"the request body is malformed\"}";
    always(b"GET /plaintext HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", bad);
    let cut = b"GET /plaintext HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc";
    assert_eq!(exchange([cut.to_vec()], false), bad);
}

#[test]
fn a_body_may_be_as_long_as_the_limit() {
    let post = |length: usize| {
        let head = format!("GET /plaintext HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; length], GET.as_bytes()].concat()
    };
    assert_eq!(exchange([post(MAX_BODY)], true), HELLO.repeat(2));
    let refusal = exchange([post(MAX_BODY + 1)], true);
    assert!(refusal.starts_with("HTTP/1.1 413 ") && refusal.contains("connection: close\r\n"), "{refusal}");
    assert!(!refusal.contains(HELLO));
}

#[test]
fn a_client_that_expects_is_told_to_go_on() {
    let text = "GET /plaintext HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx";
    let expected = format!("HTTP/1.1 100 Continue\r\n\r\n{HELLO}");
    always(text.as_bytes(), &expected);
    let nothing_to_send = text.replace(": 1\r", ": 0\r").replace("\r\n\r\nx", "\r\n\r\n");
    always(nothing_to_send.as_bytes(), HELLO);
}

#[test]
fn refusals_close_and_come_in_the_last_version() {
    always(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", &refused("400 Bad Request"));
    let kept = GET.replace("1.1\r\n", "1.0\r\nConnection: keep-alive\r\n");
    let answers = exchange([kept.into_bytes(), b"\0\r\n\r\n".to_vec()], true);
    assert!(answers.ends_with("HTTP/1.0 400 Bad Request\r\ncontent-length: 0\r\n\r\n"), "{answers}");
    let endless = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'a'; MAX_HEAD]].concat();
    assert_eq!(exchange([endless], true), refused("431 Request Header Fields Too Large"));
}

#[test]
fn an_incomplete_head_and_a_silent_client_get_no_answer() {
    for silent in [true, false] {
        assert_eq!(exchange([b"GET /plain".to_vec()], silent), "");
        assert_eq!(exchange([], silent), "");
        assert_eq!(exchange([GET.into()], silent), HELLO);
    }
}

#[test]
fn a_panic_is_a_500_and_the_connection_lives_on() {
    let answers = exchange([GET.replace("plaintext", "panic").into_bytes(), GET.into()], false);
    assert!(answers.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answers}");
    assert!(answers.ends_with(HELLO), "{answers}");
}

/// Serves one connection on a port of its own, and returns its client.
fn connected<R: Runtime + Send>(http: &Http<R>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    thread::spawn(http.serve(listener.accept().unwrap().0));
    client
}

fn http<R: Runtime>(runtime: R, header_timeout: impl Into<Option<Duration>>) -> Http<R> {
    let config = Config { parallelism: 1, panic_route: false };
    Http { runtime, config, header_timeout: header_timeout.into(), connections: Connections::new() }
}

fn read_to_end(mut client: TcpStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_client_that_has_said_all_gets_its_answer() {
    let http = http(Inline, Duration::from_secs(60));
    let mut client = connected(&http);
    client.write_all(GET.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(client).ends_with("\r\n\r\nHello, World!"));
    http.drain();
}

#[test]
fn a_client_that_is_silent_for_too_long_is_left() {
    let http = http(Inline, Duration::from_millis(20));
    let mut slow = connected(&http);
    slow.write_all(b"GET /plain").unwrap();
    assert_eq!(read_to_end(slow), "");
    let mut kept = connected(&http);
    kept.write_all(GET.as_bytes()).unwrap();
    assert!(read_to_end(kept).ends_with("\r\n\r\nHello, World!"));
}

/// Says when a handler has begun to wait, and lets it wait until it is told.
#[derive(Clone)]
struct Told {
    begun: mpsc::Sender<()>,
    go_on: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Runtime for Told {
    const CALLS: Calls = Calls::Plain;
    async fn sleep(&self, _: Duration) {
        self.begun.send(()).unwrap();
        self.go_on.lock().unwrap().recv().unwrap();
    }
    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }
}

#[test]
fn a_drain_finishes_what_is_in_flight() {
    let ((begun, has_begun), (go, go_on)) = (mpsc::channel(), mpsc::channel());
    let http = http(Told { begun, go_on: Arc::new(Mutex::new(go_on)) }, Duration::from_secs(60));
    let (idle, mut busy, mut sending) = (connected(&http), connected(&http), connected(&http));
    busy.write_all(&GET.replace("plaintext", "asyncwait").into_bytes()).unwrap();
    has_begun.recv().unwrap();
    // A body in flight is in flight, too. The 100 says that its head has been read.
    sending
        .write_all(b"GET /plaintext HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        .unwrap();
    sending.read_exact(&mut [0; CONTINUE.len()]).unwrap();
    let drains = thread::spawn(move || http.drain());
    // The end of the idle one says that the stop has been round.
    assert_eq!(read_to_end(idle), "");
    assert!(!drains.is_finished());
    sending.write_all(b"x").unwrap();
    go.send(()).unwrap();
    for client in [busy, sending] {
        let text = read_to_end(client);
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("connection: close\r\n"), "{text}");
    }
    drains.join().unwrap();
}
