//! The engine against small servers that misbehave on purpose: every fate, on both system interfaces.

use super::Engine;
use crate::histogram;
use crate::protocol::Strategy;
use crate::protocol::{Driver, Expect, ExpectBody, Fates, Load, Mark, Message, Order, Report, Task};
use crate::schedule::Arrival;
use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const DRIVERS: [Driver; 2] = [Driver::IoUring, Driver::Epoll];

/// An order to begin with.
pub(super) fn load(strategy: Strategy) -> Load {
    Load {
        strategy,
        connections: 4,
        rate: None,
        arrival: Arrival::Constant,
        seed: 1,
        warmup: Duration::ZERO,
        duration: Duration::from_millis(200),
        driver: Driver::Auto,
        cpus: Vec::new(),
        spin: Duration::ZERO,
        mutation: None,
    }
}

/// What a server does with the n-th request of a connection, from 1: whether it goes on with it.
type Serve = dyn Fn(&mut TcpStream, usize) -> bool + Send + Sync;

/// A server with a thread for each connection, for as long as the test runs.
fn server(serve: impl Fn(&mut TcpStream, usize) -> bool + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("bound");
    let serve: Arc<Serve> = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, serve) = (stream.expect("accepted"), Arc::clone(&serve));
            stream.set_nodelay(true).expect("TCP");
            thread::spawn(move || {
                let mut requests = 0;
                let mut head = Vec::new();
                let mut byte = [0];
                while stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        requests += 1;
                        if !serve(&mut stream, requests) {
                            return;
                        }
                    }
                }
            });
        }
    });
    addr
}

fn say(stream: &mut TcpStream, text: &str) -> bool {
    stream.write_all(text.as_bytes()).is_ok()
}

fn order(addr: SocketAddr, load: &Load, timeout_ms: u64) -> Order {
    Order {
        addr,
        host: addr.to_string(),
        target: "/".into(),
        expect: Expect { status: 200, body: ExpectBody::Exact("ok".into()) },
        timeout: Duration::from_millis(timeout_ms),
        task: Task::Load(load.clone()),
    }
}

fn run(addr: SocketAddr, load: &Load, timeout_ms: u64) -> Report {
    let engine = Engine::prepare(&order(addr, load, timeout_ms), load).expect("it can");
    let marks = RefCell::new(Vec::new());
    let report = engine
        .run(
            || Ok(Duration::ZERO),
            |message| {
                marks.borrow_mut().push(message.clone());
                Ok(())
            },
        )
        .expect("it runs");
    let all = [Mark::Begin, Mark::Half, Mark::End].map(Message::Mark);
    assert_eq!(*marks.borrow(), all);
    let fates = report.fates;
    assert_eq!(fates.sum(), fates.scheduled, "{fates:?}");
    let samples = histogram::decode(&report.service.histogram).expect("readable").len();
    assert_eq!(samples, fates.ok, "a latency for each right answer, and for no other");
    report
}

/// Runs a load on both interfaces.
fn on_both(load: &Load, serve: fn(&mut TcpStream, usize) -> bool, check: impl Fn(&Report)) {
    for driver in DRIVERS {
        let load = Load { driver, ..load.clone() };
        let report = run(server(serve), &load, 1000);
        let name = if driver == Driver::Epoll { "epoll" } else { "io_uring" };
        assert_eq!(report.engine.as_ref().expect("the engine's").driver, name);
        check(&report);
    }
}

fn only_ok(fates: Fates) -> bool {
    fates.ok == fates.scheduled && fates.ok > 0
}

fn constant(rate: f64) -> Load {
    Load { rate: Some(rate), ..load(Strategy::OpenLoop) }
}

#[test]
fn a_closed_loop_keeps_its_connections_busy() {
    on_both(
        &load(Strategy::ClosedLoop),
        |stream, _| say(stream, ANSWER),
        |report| {
            assert!(only_ok(report.fates), "{report:?}");
            assert_eq!(report.connects, 4);
            let in_flight = report.in_flight_mean.expect("counted");
            assert!((3.5..=4.0).contains(&in_flight), "{in_flight}");
        },
    );
}

#[test]
fn a_schedule_has_as_many_requests_as_are_due_however_late_the_answers_are() {
    // Four connections can answer 80 in the time, and 100 are due.
    let slow = |stream: &mut TcpStream, _| {
        thread::sleep(Duration::from_millis(10));
        say(stream, ANSWER)
    };
    on_both(&constant(500.0), slow, |report| {
        assert_eq!((report.fates.scheduled, report.fates.ok), (100, 100));
        let engine = report.engine.as_ref().expect("the engine's");
        assert_eq!(engine.halves.map(|half| half.due), [50, 50]);
        let mean = |latency: &Option<crate::protocol::Latency>| {
            latency.as_ref().and_then(|l| l.mean_ns).expect("samples")
        };
        let parts =
            mean(&engine.lateness) + mean(&engine.conn_wait) + report.service.mean_ns.expect("samples");
        let whole = mean(&engine.response);
        assert!((whole / parts - 1.0).abs() < 1e-9, "{whole} {parts}");
        assert!(mean(&engine.conn_wait) > 1e6, "the pool was too small: {report:?}");
    });
}

#[test]
fn the_measured_time_begins_after_the_warm_up() {
    let load = Load { warmup: Duration::from_millis(100), ..constant(1000.0) };
    on_both(&load, |stream, _| say(stream, ANSWER), |report| assert_eq!(report.fates.scheduled, 200));
}

#[test]
fn churn_opens_a_connection_for_each_request() {
    let closing = |stream: &mut TcpStream, _| {
        say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        false
    };
    on_both(&load(Strategy::Churn), closing, |report| {
        assert!(only_ok(report.fates), "{report:?}");
        assert_eq!(report.connects, report.fates.ok);
    });
    let rate = Load { rate: Some(200.0), ..load(Strategy::Churn) };
    on_both(&rate, closing, |report| {
        assert_eq!((report.fates.ok, report.connects), (40, 40));
    });
}

#[test]
fn threads_share_the_schedule_and_the_connections() {
    let load = Load { connections: 5, cpus: vec![0, 0, 0], ..constant(500.0) };
    on_both(
        &load,
        |stream, _| say(stream, ANSWER),
        |report| {
            assert_eq!((report.fates.ok, report.connects), (100, 5));
        },
    );
}

#[test]
fn an_answer_may_come_in_pieces_or_in_chunks() {
    let pieces = |stream: &mut TcpStream, n: usize| {
        if n.is_multiple_of(2) {
            return say(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        }
        ANSWER.bytes().all(|byte| stream.write_all(&[byte]).is_ok())
    };
    for strategy in [Strategy::ClosedLoop, Strategy::Churn] {
        on_both(&load(strategy), pieces, |report| assert!(only_ok(report.fates), "{report:?}"));
    }
}

#[test]
fn an_answer_may_be_longer_than_a_buffer() {
    let body = "x".repeat(100_000);
    for driver in DRIVERS {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let addr = server(move |stream, _| say(stream, &text));
        let load = Load { driver, ..load(Strategy::ClosedLoop) };
        let mut order = order(addr, &load, 1000);
        order.expect.body = ExpectBody::Exact(body.clone());
        let engine = Engine::prepare(&order, &load).expect("it can");
        let report = engine.run(|| Ok(Duration::ZERO), |_| Ok(())).expect("it runs");
        assert!(only_ok(report.fates), "{:?}", report.first_error);
    }
}

/// The server's third answer on each connection is this; the fate it must have; whether the connection
/// can go on.
type Fault = (&'static str, fn(&Fates) -> u64);

#[test]
fn wrong_answers_are_counted_for_what_they_are() {
    let faults: [Fault; 5] = [
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nok", |f| f.bad_status),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nko", |f| f.bad_body),
        ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nokk", |f| f.bad_body),
        ("nonsense\r\n\r\n", |f| f.err_read),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", |f| f.ok),
    ];
    for (text, fate) in faults {
        for driver in DRIVERS {
            // 100 due requests on one connection, or as many connections as break, one after the other.
            let addr = server(move |stream, n| say(stream, if n.is_multiple_of(3) { text } else { ANSWER }));
            let load = Load { driver, connections: 1, ..constant(500.0) };
            let fates = run(addr, &load, 1000).fates;
            assert_eq!(fates.scheduled, 100);
            let wrong = fates.scheduled - fates.ok;
            if text.contains("okHTTP") {
                assert_eq!(wrong, 0, "{fates:?}");
            } else {
                assert_eq!((fate(&fates), wrong), (33, 33), "{text:?}: {fates:?}");
            }
        }
    }
}

#[test]
fn broken_connections_are_counted_and_opened_again() {
    // Half an answer; none; a reset. Each on the third request of a connection, and one connection.
    let half = |stream: &mut TcpStream, n: usize| match n {
        3 => !say(stream, &ANSWER[..20]),
        _ => say(stream, ANSWER),
    };
    let none = |stream: &mut TcpStream, n: usize| n != 3 && say(stream, ANSWER);
    let reset = |stream: &mut TcpStream, n: usize| {
        if n == 3 {
            let socket = socket2::SockRef::from(&*stream);
            socket.set_linger(Some(Duration::ZERO)).expect("TCP");
            return false;
        }
        say(stream, ANSWER)
    };
    for serve in [half, none, reset] {
        on_both(&Load { connections: 1, ..constant(500.0) }, serve, |report| {
            let fates = report.fates;
            assert_eq!((fates.scheduled, fates.err_read, fates.ok), (100, 33, 67), "{report:?}");
            assert_eq!(report.connects, 34);
            assert!(report.first_error.is_some());
        });
    }
}

#[test]
fn a_connection_that_is_closed_between_requests_costs_none() {
    // Announced, and not: on an open loop the connection is idle then.
    let announced = |stream: &mut TcpStream, n: usize| match n {
        2 => !say(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok"),
        _ => say(stream, ANSWER),
    };
    let silent = |stream: &mut TcpStream, n: usize| say(stream, ANSWER) && n != 2;
    for serve in [announced, silent] {
        on_both(&Load { connections: 1, ..constant(100.0) }, serve, |report| {
            assert_eq!((report.fates.ok, report.connects), (20, 10), "{report:?}");
        });
    }
}

#[test]
fn silence_runs_into_the_timeout() {
    for driver in DRIVERS {
        let addr = server(|stream, n| n.is_multiple_of(2) || say(stream, ANSWER));
        let load = Load { driver, connections: 50, ..constant(100.0) };
        let fates = run(addr, &load, 100).fates;
        assert_eq!((fates.scheduled, fates.ok + fates.timed_out), (20, 20), "{fates:?}");
        assert_eq!(fates.ok, 20, "each on a connection's first request: {fates:?}");
        // Ten more are due whenever the only connection is given up: those are never sent.
        let deaf = server(|_, _| true);
        let load = Load { driver, connections: 1, ..constant(1000.0) };
        let fates = run(deaf, &load, 100).fates;
        assert!(fates.timed_out > 0 && fates.shed > 0 && fates.ok == 0, "{fates:?}");
    }
}

#[test]
fn a_port_where_nobody_listens_refuses_every_request() {
    let addr = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    for driver in DRIVERS {
        for load in [constant(100.0), load(Strategy::ClosedLoop), load(Strategy::Churn)] {
            let fates = run(addr, &Load { driver, ..load }, 1000).fates;
            assert!(fates.err_connect == fates.scheduled && fates.scheduled > 0, "{fates:?}");
        }
    }
}

#[test]
fn told_to_stop_it_says_what_was_under_way() {
    for driver in DRIVERS {
        let addr = server(|_, _| true);
        let load = Load { driver, duration: Duration::from_secs(60), ..load(Strategy::ClosedLoop) };
        let engine = Engine::prepare(&order(addr, &load, 30_000), &load).expect("it can");
        engine.stop().store(true, Ordering::Relaxed);
        let report = engine.run(|| Ok(Duration::ZERO), |_| Ok(())).expect("it runs");
        assert_eq!((report.fates.scheduled, report.fates.in_flight_at_end), (4, 4), "{report:?}");
        assert!(report.gave_up.expect("told").starts_with("told to stop"));
    }
}
