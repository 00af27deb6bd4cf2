//! The hyper service on threads that share nothing: tasks that cannot leave their thread.

use super::*;
use crate::handler::Calls;
use crate::listen;
use crate::server::{self, HttpStack, Spec};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::{task, time};

const SPEC: Spec = Spec {
    runtime: "local",
    package: None,
    http: HttpStack::Package("hyper"),
    flavors: &[],
    has_workers: true,
};

/// A runtime that is not `Send`, and whose futures are not: they keep a count that their thread owns.
#[derive(Clone)]
struct Local {
    under_way: Rc<Cell<usize>>,
    /// Told of every sleep that begins.
    begun: Sender<()>,
}

/// One more of what is under way.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Local {
    fn count(&self) -> Counted {
        self.under_way.set(self.under_way.get() + 1);
        Counted(Rc::clone(&self.under_way))
    }
}

impl Runtime for Local {
    const CALLS: Calls = Calls::Awaited;

    async fn sleep(&self, duration: Duration) {
        let _counted = self.count();
        self.begun.send(()).unwrap();
        time::sleep(duration).await;
    }

    async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let _counted = self.count();
        task::spawn_blocking(work).await.expect("the pool outlives its requests")
    }
}

/// Runs a runtime, a listener and an accept loop on a thread of its own. Returns what its runtime counts in
/// the end.
fn start(server: Server, listener: TcpListener, begun: Sender<()>) -> JoinHandle<usize> {
    thread::spawn(move || {
        let runtime =
            Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(serve(server, listener, begun))
    })
}

async fn serve(server: Server, listener: TcpListener, begun: Sender<()>) -> usize {
    let local = Local { under_way: Rc::default(), begun };
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let http = Http::new(&server, local.clone(), TokioTimer::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => _ = task::spawn_local(http.serve(TokioIo::new(stream))),
                Err(error) => server::accept_failed(&error, time::sleep).await,
            },
            () = server.stop.requested() => break,
        }
    }
    drop(listener);
    http.drained().await;
    local.under_way.get()
}

/// Sends a request on a connection that stays open, and reads up to `end`.
fn ask(client: &mut TcpStream, path: &str, end: &str) -> String {
    write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with(end) {
        client.read_exact(&mut byte).unwrap_or_else(|error| panic!("{path}: {error} after {text}"));
        text.push(char::from(byte[0]));
    }
    text
}

#[test]
fn tasks_that_stay_on_their_thread_answer_panic_and_drain_like_others() {
    let (asked_to_stop, stop) = Stop::by_hand();
    let server = Server::for_tests(SPEC, &["--panic-route", "--reuse-port"], stop);
    let (begun, has_begun) = mpsc::channel();
    // A thread each: two listeners on one port.
    let first = server.listen().unwrap();
    let addr: SocketAddr = first.local_addr().unwrap();
    let second = listen::listen(addr, true).unwrap();
    let cores = [first, second].map(|listener| start(server.clone(), listener, begun.clone()));
    // Which of the two gets a connection is the kernel's choice.
    let mut clients: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(addr).unwrap()).collect();
    for client in &mut clients {
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for (path, status, end) in [
            ("/plaintext", 200, "\r\n\r\nHello, World!"),
            ("/asyncwait?ms=1", 200, "\r\n\r\n{\"duration\":0.001}"),
            ("/wait?ms=1", 200, "\r\n\r\n{\"duration\":0.001}"),
            ("/fib/10", 200, "\r\n\r\n{\"fib\":89}"),
            ("/panic", 500, "\r\n\r\n{\"detail\":\"the handler panicked\"}"),
            ("/asyncfib/10", 200, "\r\n\r\n{\"fib\":89}"),
        ] {
            let answer = ask(client, path, end);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        }
    }
    assert_eq!(has_begun.try_iter().count(), clients.len());
    // In flight when the stop comes: it is answered, and its connection ends; the idle ones just end.
    let waits = &mut clients[0];
    waits.write_all(b"GET /asyncwait?ms=300 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    has_begun.recv_timeout(Duration::from_secs(10)).unwrap();
    drop(asked_to_stop);
    let mut answer = String::new();
    waits.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("{\"duration\":0.3}"), "{answer}");
    for client in &mut clients[1..] {
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }
    for core in cores {
        assert_eq!(core.join().expect("a panic of a handler stays there"), 0);
    }
}
