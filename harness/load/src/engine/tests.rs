//! The engine against small servers that misbehave on purpose: every fate, on both system interfaces.

mod background;
mod phases;
mod turns;

use super::Engine;
use crate::histogram;
use crate::protocol::{
    Amount, Arrivals, Client, Connections, Driver, Expect, ExpectBody, Fates, Load, Mark, Message, Moment,
    Order, PartReport, PhaseTime, Report, Request, Share,
};
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

/// A load of so many connections on which requests arrive like this.
fn load(arrivals: Arrivals, connections: Connections) -> Load {
    let load = Load { client: Client::Engine, arrivals, connections, amount: Amount::UntilStopped };
    timed(load, Duration::ZERO, Duration::from_millis(200))
}

/// The load for a time, after a warm-up.
pub(super) fn timed(load: Load, warm_up: Duration, duration: Duration) -> Load {
    let phase = |duration, measured| PhaseTime { duration, scale: 1.0, measured };
    Load { amount: Amount::Time(vec![phase(warm_up, false), phase(duration, true)]), ..load }
}

/// A load of phases of so many milliseconds, with these scales, that are measured or not.
pub(super) fn in_phases(load: Load, phases: &[(u64, f64, bool)]) -> Load {
    let phase = |(ms, scale, measured): &(u64, f64, bool)| PhaseTime {
        duration: Duration::from_millis(*ms),
        scale: *scale,
        measured: *measured,
    };
    Load { amount: Amount::Time(phases.iter().map(phase).collect()), ..load }
}

/// A closed loop.
pub(super) fn closed(in_flight: usize) -> Load {
    load(Arrivals::Closed { in_flight }, Connections::Kept(in_flight))
}

/// A connection for each request, four at a time.
pub(super) fn churn(rate: Option<f64>) -> Load {
    let arrivals = match rate {
        Some(rate) => Arrivals::Open { rate, process: Arrival::Constant },
        None => Arrivals::Closed { in_flight: 4 },
    };
    load(arrivals, Connections::OnePerRequest(4))
}

/// A schedule with equal gaps on so many connections.
pub(super) fn open(rate: f64, connections: usize) -> Load {
    load(Arrivals::Open { rate, process: Arrival::Constant }, Connections::Kept(connections))
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

/// An order to carry out a load on one thread.
pub(super) fn order(addr: SocketAddr, load: &Load, timeout_ms: u64) -> Order {
    Order {
        addr,
        host: addr.to_string(),
        request: Request::get("/"),
        expect: Expect { status: 200, body: ExpectBody::Exact("ok".into()) },
        timeout: Duration::from_millis(timeout_ms),
        load: load.clone(),
        seed: 1,
        share: Share::default(),
        driver: Driver::Auto,
        cpus: Vec::new(),
        spin: Duration::ZERO,
        mutation: None,
    }
}

/// Carries out an order, and returns its report and all that was said before.
fn carry_out(order: &Order) -> (Report, Vec<Message>) {
    let engine = Engine::prepare(order).expect("it can");
    let said = RefCell::new(Vec::new());
    let say = |message: &Message| {
        said.borrow_mut().push(message.clone());
        Ok(())
    };
    let report = engine.run(|| Ok(Duration::ZERO), say).expect("it runs");
    (report, said.into_inner())
}

/// What became of the measured phases of an order.
fn run_parts(order: &Order) -> Vec<PartReport> {
    let (report, said) = carry_out(order);
    let moments = [Moment::Begin, Moment::Half, Moment::End];
    let marks: Vec<Message> = (0..report.parts.len())
        .flat_map(|part| moments.map(|moment| Message::Mark(Mark { part, moment })))
        .collect();
    assert_eq!(said, marks);
    let mut failed = 0;
    for part in &report.parts {
        let fates = part.fates;
        assert_eq!(fates.sum(), fates.scheduled, "{fates:?}");
        let samples = histogram::decode(&part.service.histogram).expect("readable").len();
        assert_eq!(samples, fates.ok, "a latency for each right answer, and for no other");
        failed += fates.failed();
    }
    assert_eq!(report.first_error.is_some(), failed > 0, "{:?}", report.first_error);
    report.parts
}

/// What became of the only measured phase of an order.
fn run(order: &Order) -> PartReport {
    let [part] = <[PartReport; 1]>::try_from(run_parts(order)).expect("one phase");
    part
}

/// Runs a load on both interfaces.
fn on_both(load: &Load, serve: fn(&mut TcpStream, usize) -> bool, check: impl Fn(&PartReport)) {
    on_both_with(|addr| order(addr, load, 1000), serve, check);
}

/// Carries out an order for a server on both interfaces.
fn on_both_with(
    order: impl Fn(SocketAddr) -> Order,
    serve: fn(&mut TcpStream, usize) -> bool,
    check: impl Fn(&PartReport),
) {
    for driver in DRIVERS {
        let report = run(&Order { driver, ..order(server(serve)) });
        let name = if driver == Driver::Epoll { "epoll" } else { "io_uring" };
        assert_eq!(report.engine.as_ref().expect("the engine's").driver, name);
        check(&report);
    }
}

fn only_ok(fates: Fates) -> bool {
    fates.ok == fates.scheduled && fates.ok > 0
}

#[test]
fn a_closed_loop_keeps_its_connections_busy() {
    on_both(
        &closed(4),
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
    on_both(&open(500.0, 4), slow, |report| {
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
    let load = timed(open(1000.0, 4), Duration::from_millis(100), Duration::from_millis(200));
    on_both(&load, |stream, _| say(stream, ANSWER), |report| assert_eq!(report.fates.scheduled, 200));
}

#[test]
fn what_the_engine_cannot_carry_out_is_refused() {
    let addr = ([127, 0, 0, 1], 1).into();
    for load in [
        in_phases(closed(1), &[]),
        in_phases(closed(1), &[(100, 1.0, false)]),
        in_phases(closed(1), &[(0, 1.0, true)]),
        in_phases(open(1.0, 1), &[(100, f64::NAN, true)]),
        in_phases(open(1.0, 1), &[(100, -1.0, true)]),
        Load { connections: Connections::Kept(2), ..closed(1) },
        Load { amount: Amount::Requests(1), ..closed(1) },
    ] {
        assert!(Engine::prepare(&order(addr, &load, 1000)).is_err(), "{load:?}");
    }
}

#[test]
fn churn_opens_a_connection_for_each_request() {
    let closing = |stream: &mut TcpStream, _| {
        say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        false
    };
    on_both(&churn(None), closing, |report| {
        assert!(only_ok(report.fates), "{report:?}");
        assert_eq!(report.connects, report.fates.ok);
    });
    on_both(&churn(Some(200.0)), closing, |report| {
        assert_eq!((report.fates.ok, report.connects), (40, 40));
    });
}

#[test]
fn threads_share_the_schedule_and_the_connections() {
    on_both_with(
        |addr| Order { cpus: vec![0, 0, 0], ..order(addr, &open(500.0, 5), 1000) },
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
    for load in [closed(4), churn(None)] {
        on_both(&load, pieces, |report| assert!(only_ok(report.fates), "{report:?}"));
    }
}

#[test]
fn an_answer_may_be_longer_than_a_buffer() {
    let body = "x".repeat(100_000);
    for driver in DRIVERS {
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let addr = server(move |stream, _| say(stream, &text));
        let mut order = Order { driver, ..order(addr, &closed(4), 1000) };
        order.expect.body = ExpectBody::Exact(body.clone());
        assert!(only_ok(run(&order).fates));
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
            let fates = run(&Order { driver, ..order(addr, &open(500.0, 1), 1000) }).fates;
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
        on_both(&open(500.0, 1), serve, |report| {
            let fates = report.fates;
            assert_eq!((fates.scheduled, fates.err_read, fates.ok), (100, 33, 67), "{report:?}");
            assert_eq!(report.connects, 34);
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
        // 25 ms apart: a busy machine may be late to close.
        on_both(&in_phases(open(40.0, 1), &[(500, 1.0, true)]), serve, |report| {
            // A client that is late sends a request before it can know that its connection is closed.
            let lateness = report.engine.as_ref().and_then(|engine| engine.lateness.as_ref());
            let in_time = lateness.and_then(|lateness| lateness.max_ns) < Some(10_000_000);
            assert!(!in_time || (report.fates.ok, report.connects) == (20, 10), "{report:?}");
        });
    }
}

#[test]
fn silence_runs_into_the_timeout() {
    for driver in DRIVERS {
        let addr = server(|stream, n| n.is_multiple_of(2) || say(stream, ANSWER));
        let fates = run(&Order { driver, ..order(addr, &open(100.0, 50), 100) }).fates;
        assert_eq!((fates.scheduled, fates.ok + fates.timed_out), (20, 20), "{fates:?}");
        assert_eq!(fates.ok, 20, "each on a connection's first request: {fates:?}");
        // Ten more are due whenever the only connection is given up: those are never sent.
        let deaf = server(|_, _| true);
        let fates = run(&Order { driver, ..order(deaf, &open(1000.0, 1), 100) }).fates;
        assert!(fates.timed_out > 0 && fates.shed > 0 && fates.ok == 0, "{fates:?}");
    }
}

#[test]
fn a_port_where_nobody_listens_refuses_every_request() {
    let addr = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    for driver in DRIVERS {
        for load in [open(100.0, 4), closed(4), churn(None)] {
            let fates = run(&Order { driver, ..order(addr, &load, 1000) }).fates;
            assert!(fates.err_connect == fates.scheduled && fates.scheduled > 0, "{fates:?}");
        }
    }
}

#[test]
fn told_to_stop_it_says_what_was_under_way() {
    for driver in DRIVERS {
        let addr = server(|_, _| true);
        let load = timed(closed(4), Duration::ZERO, Duration::from_secs(60));
        let engine = Engine::prepare(&Order { driver, ..order(addr, &load, 30_000) }).expect("it can");
        engine.stop().store(true, Ordering::Relaxed);
        let report = engine.run(|| Ok(Duration::ZERO), |_| Ok(())).expect("it runs");
        let fates = report.parts[0].fates;
        assert_eq!((fates.scheduled, fates.in_flight_at_end), (4, 4), "{report:?}");
        assert!(report.gave_up.expect("told").starts_with("told to stop"));
    }
}
