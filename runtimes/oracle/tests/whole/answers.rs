//! What is answered, and when: the server's word on its virtual time is exact, and it is never early.

use crate::server::{Client, Oracle, Outcome};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// How long each of `count` requests that arrive together says it was in the server.
fn sojourns(oracle: &Oracle, count: usize) -> Vec<Duration> {
    let mut client = oracle.connect();
    let start = Instant::now();
    client.ask(count);
    (0..count)
        .map(|_| {
            let sojourn = client.answer().sojourn();
            assert!(start.elapsed() >= sojourn, "an answer before its time");
            sojourn
        })
        .collect()
}

fn millis(values: &[u64]) -> Vec<Duration> {
    values.iter().map(|ms| Duration::from_millis(*ms)).collect()
}

#[test]
fn one_server_s_queue_is_exact_and_lateness_does_not_add_up() {
    let oracle = Oracle::start("--service constant:2ms");
    let expected: Vec<u64> = (1..=100).map(|n| 2 * n).collect();
    assert_eq!(sojourns(&oracle, 100), millis(&expected));
}

#[test]
fn k_servers_and_none_are_exact() {
    let oracle = Oracle::start("--service constant:20ms --servers 2");
    assert_eq!(sojourns(&oracle, 5), millis(&[20, 20, 40, 40, 60]));
    let oracle = Oracle::start("--service constant:20ms --servers inf");
    assert_eq!(sojourns(&oracle, 3), millis(&[20, 20, 20]));
    let oracle = Oracle::start("");
    assert_eq!(sojourns(&oracle, 3), millis(&[0, 0, 0]));
}

#[test]
fn a_delay_is_never_shortened() {
    let oracle = Oracle::start("--service constant:3ms --servers inf");
    let mut client = oracle.connect();
    for _ in 0..50 {
        let start = Instant::now();
        client.ask(1);
        client.answer();
        assert!(start.elapsed() >= Duration::from_millis(3));
    }
}

#[test]
fn exponential_times_follow_their_seed() {
    let of_seed = |seed: u64| {
        let oracle = Oracle::start(&format!("--service exponential:1ms --seed {seed}"));
        sojourns(&oracle, 50)
    };
    let first = of_seed(7);
    assert_eq!(first, of_seed(7));
    assert_ne!(first, of_seed(8));
}

#[test]
fn answers_keep_the_order_of_their_connection() {
    // Without servers to wait for, a short service would overtake a long one.
    let oracle = Oracle::start("--service exponential:1ms --servers inf");
    let mut client = oracle.connect();
    for n in 0..40 {
        client.send(&format!("GET /fib/{} HTTP/1.1\r\n\r\n", n % 2));
        client.send(&format!("GET /asyncwait?ms={n} HTTP/1.1\r\n\r\n"));
    }
    for n in 0..40 {
        assert_eq!(client.answer().body, "{\"fib\":1}");
        assert_eq!(client.answer().body, format!("{{\"duration\":{:?}}}", f64::from(n) / 1e3));
    }
}

#[test]
fn a_stall_s_end_is_when_its_requests_are_answered() {
    let oracle = Oracle::start("--stall 300ms/3000s@0");
    let start = Instant::now();
    let first = sojourns(&oracle, 2);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(first, millis(&[300, 300]));
    // The stall is over.
    assert_eq!(sojourns(&oracle, 1), millis(&[0]));
}

#[test]
fn every_route_has_its_own_body_and_the_rest_has_plaintext_s() {
    let oracle = Oracle::start("");
    let mut client = oracle.connect();
    for (target, body) in [
        ("/plaintext", "Hello, World!"),
        ("/fib/30", "{\"fib\":1346269}"),
        ("/wait", "{\"duration\":0.05}"),
        ("/nosuch", "Hello, World!"),
    ] {
        client.send(&format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n"));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.body.as_str()), ("200", body), "{target}");
        assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")), "{}", answer.head);
    }
}

#[test]
fn heads_may_come_byte_by_byte() {
    let oracle = Oracle::start("");
    let mut client = oracle.connect();
    client.stream.set_nodelay(true).expect("TCP");
    for byte in "GET /fib/10 HTTP/1.1\r\nhost: x\r\n\r\nGET /fib/11 HTTP/1.1\r\n\r\n".bytes() {
        client.stream.write_all(&[byte]).expect("sent");
    }
    assert_eq!(client.answer().body, "{\"fib\":89}");
    assert_eq!(client.answer().body, "{\"fib\":144}");
}

#[test]
fn a_client_that_wants_the_end_gets_it() {
    let oracle = Oracle::start("--service constant:1ms");
    let mut client = oracle.connect();
    client.send("GET /plaintext HTTP/1.1\r\nConnection: Close\r\n\r\n");
    assert_eq!(client.answer().header("connection"), Some("close"));
    assert_eq!(client.outcome(), Outcome::Ended(None));
}

#[test]
fn what_is_no_http_ends_its_own_connection_only() {
    let oracle = Oracle::start("");
    let (mut good, mut bad): (Client, Client) = (oracle.connect(), oracle.connect());
    bad.send("\0\0\0\0\r\n\r\n");
    assert!(matches!(bad.outcome(), Outcome::Ended(None) | Outcome::Reset));
    good.ask(1);
    assert_eq!(good.answer().status(), "200");
}

#[test]
fn a_client_that_does_not_read_gets_everything_later() {
    let oracle = Oracle::start("");
    let mut client = oracle.connect();
    // Far more than the sockets' buffers hold, so the server has to wait for room.
    let (rounds, each) = (200, 500);
    let mut writer = client.stream.try_clone().expect("a socket");
    let sender = std::thread::spawn(move || {
        for _ in 0..rounds {
            writer.write_all("GET / HTTP/1.1\r\n\r\n".repeat(each).as_bytes()).expect("sent");
        }
    });
    for _ in 0..rounds * each {
        assert_eq!(client.answer().body, "Hello, World!");
    }
    sender.join().expect("sent everything");
}
