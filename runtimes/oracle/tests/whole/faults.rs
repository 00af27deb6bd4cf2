//! Faults are counted: each has exactly its number of requests.

use crate::server::{Client, Oracle, Outcome};

#[test]
fn every_fault_is_met_exactly_as_often_as_it_was_asked_for() {
    let oracle = Oracle::start("--faults status:10,close:20,truncate:20,silent:50,body:20,reset:20");
    let mut clients: Vec<Client> = (0..200)
        .map(|_| {
            let mut client = oracle.connect();
            client.ask(1);
            client
        })
        .collect();
    // Request 201 has no fault. Its answer says that those before it have all been dealt with.
    let mut last = oracle.connect();
    last.ask(1);
    assert_eq!(last.answer().body, "Hello, World!");

    let [mut ok, mut status, mut body, mut truncated, mut closed, mut reset, mut silent] = [0; 7];
    for client in &mut clients {
        client.stream.set_nonblocking(true).expect("TCP");
        match client.outcome() {
            Outcome::Answer(answer) if answer.status() == "503" => status += 1,
            Outcome::Answer(answer) if answer.body == "Hello, World!" => ok += 1,
            Outcome::Answer(answer) => {
                assert_eq!((answer.status(), answer.body.len()), ("200", 13), "{answer:?}");
                body += 1;
            }
            Outcome::Ended(Some(6)) => truncated += 1,
            Outcome::Ended(None) => closed += 1,
            Outcome::Ended(other) => panic!("ended after {other:?} bytes of the body"),
            Outcome::Reset => reset += 1,
            Outcome::Nothing => silent += 1,
        }
    }
    let expected = [200 - 20 - 10 - 10 - 4 - 10 - 10, 20, 10, 10, 10, 10, 4];
    assert_eq!([ok, status, body, truncated, closed, reset, silent], expected);
}

#[test]
fn faults_are_met_at_the_departure() {
    let oracle = Oracle::start("--service constant:30ms --faults close:1");
    let start = std::time::Instant::now();
    let mut client = oracle.connect();
    client.ask(1);
    assert_eq!(client.outcome(), Outcome::Ended(None));
    assert!(start.elapsed() >= std::time::Duration::from_millis(30));
}

#[test]
fn a_silent_connection_stays_and_says_nothing_more() {
    let oracle = Oracle::start("--faults silent:2");
    let mut client = oracle.connect();
    // The second is not answered; the third is not looked at, and so not counted.
    client.ask(3);
    assert_eq!(client.answer().status(), "200");
    let mut other = oracle.connect();
    other.ask(1);
    assert_eq!(other.answer().status(), "200");
    client.stream.set_nonblocking(true).expect("TCP");
    assert_eq!(client.outcome(), Outcome::Nothing);
}

#[test]
fn connections_end_after_their_answers_with_or_without_a_word() {
    for (fault, word) in [("close-after:3", None), ("header-close:3", Some("close"))] {
        let oracle = Oracle::start(&format!("--faults {fault}"));
        for _ in 0..2 {
            let mut client = oracle.connect();
            for _ in 0..2 {
                client.ask(1);
                assert_eq!(client.answer().header("connection"), None, "{fault}");
            }
            client.ask(1);
            assert_eq!(client.answer().header("connection"), word, "{fault}");
            assert_eq!(client.outcome(), Outcome::Ended(None), "{fault}");
        }
    }
}

#[test]
fn the_deaf_one_accepts_and_never_answers() {
    let mut oracle = Oracle::start("--deaf");
    let mut client = oracle.connect();
    client.ask(2);
    oracle.terminate();
    assert!(oracle.wait().success());
    // Whether it had read the requests decides between the two.
    assert!(matches!(client.outcome(), Outcome::Ended(None) | Outcome::Reset));
}

#[test]
fn connections_may_be_reset_at_once() {
    let oracle = Oracle::start("--reset-on-accept");
    assert_eq!(oracle.connect().outcome(), Outcome::Reset);
    assert_eq!(oracle.connect().outcome(), Outcome::Reset);
}
