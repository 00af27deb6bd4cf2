//! hyper on a thread per connection.

use super::*;
use crate::handler::Calls;
use crate::server::{HttpStack, Spec};
use crate::stop::Stop;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, mpsc};
use std::thread;

const SPEC: Spec = Spec {
    runtime: "blocking",
    package: None,
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: false,
};

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

struct Fixture {
    http: Http<Told>,
    has_begun: mpsc::Receiver<()>,
    go: mpsc::Sender<()>,
}

fn fixture(arguments: &[&str]) -> Fixture {
    let ((begun, has_begun), (go, go_on)) = (mpsc::channel(), mpsc::channel());
    let (_stops, stop) = Stop::by_hand();
    let server = Server::for_tests(SPEC, arguments, stop);
    Fixture { http: Http::new(&server, Told { begun, go_on: Arc::new(Mutex::new(go_on)) }), has_begun, go }
}

/// Serves one connection on a port of its own, and returns its client.
fn connected(http: &Http<Told>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // A connection that is never ended fails its test instead of holding it up.
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    client.set_nodelay(true).unwrap();
    thread::spawn(http.serve(listener.accept().unwrap().0));
    client
}

fn read_to_end(mut client: TcpStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

const GET: &str = "GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn requests_are_answered_whole_split_and_pipelined() {
    let Fixture { http, .. } = fixture(&[]);
    let (mut at_once, mut split) = (connected(&http), connected(&http));
    // More than hyper answers at a poll.
    at_once.write_all(GET.repeat(40).as_bytes()).unwrap();
    for byte in GET.repeat(2).as_bytes() {
        split.write_all(&[*byte]).unwrap();
    }
    for (client, answers) in [(at_once, 40), (split, 2)] {
        client.shutdown(Shutdown::Write).unwrap();
        let text = read_to_end(client);
        assert_eq!(text.matches("\r\n\r\nHello, World!").count(), answers, "{text}");
    }
}

#[test]
fn a_body_that_is_too_long_is_refused_before_it_comes() {
    let Fixture { http, .. } = fixture(&[]);
    let mut client = connected(&http);
    client.write_all(b"GET /plaintext HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n").unwrap();
    let text = read_to_end(client);
    assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("connection: close\r\n"), "{text}");
}

#[test]
fn a_client_that_is_too_slow_is_left() {
    let Fixture { http, .. } = fixture(&["--header-timeout", "0.1"]);
    let (silent, mut slow, mut served) = (connected(&http), connected(&http), connected(&http));
    served.write_all(GET.as_bytes()).unwrap();
    let mut sent = 0;
    while slow.write_all(b"G").is_ok() {
        sent += 1;
        assert!(sent < 1000, "it is kept though it never comes to an end");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(read_to_end(silent), "");
    assert!(read_to_end(served).ends_with("\r\n\r\nHello, World!"));
}

#[test]
fn a_reply_is_dated_when_it_is_made() {
    let Fixture { http, .. } = fixture(&[]);
    let mut client = connected(&http);
    let mut date = || {
        client.write_all(GET.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"Hello, World!") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let text = String::from_utf8(answer).unwrap();
        text.lines().find(|line| line.starts_with("date: ")).unwrap().to_owned()
    };
    let first = date();
    thread::sleep(Duration::from_millis(1100));
    assert_ne!(date(), first);
}

#[test]
fn a_drain_finishes_what_is_in_flight() {
    let Fixture { http, has_begun, go } = fixture(&[]);
    let (idle, mut busy, mut sending) = (connected(&http), connected(&http), connected(&http));
    busy.write_all(GET.replace("plaintext", "asyncwait").as_bytes()).unwrap();
    has_begun.recv().unwrap();
    // A body in flight is in flight, too. The 100 says that its head has been read.
    sending
        .write_all(b"GET /plaintext HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        .unwrap();
    sending.read_exact(&mut [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()]).unwrap();
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
