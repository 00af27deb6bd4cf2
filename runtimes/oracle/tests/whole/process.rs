//! The process: its ready line, its end, its memory, its CPU, and what it says to wrong arguments.

use crate::server::{Client, Oracle, Outcome, program};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

#[test]
fn the_ready_line_names_the_contract() {
    let oracle = Oracle::start("--workers 3 --blocking-threads 4");
    assert_eq!(oracle.ready.contract.as_deref(), Some(contract::HASH));
    assert_eq!((oracle.ready.runtime.as_str(), oracle.ready.worker_threads), ("oracle", Some(1)));
}

#[test]
fn a_signal_ends_it_and_lets_what_is_in_flight_finish() {
    let mut oracle = Oracle::start("--service constant:200ms");
    let (idle, mut busy) = (oracle.connect(), oracle.connect());
    busy.ask(2);
    busy.answer();
    // The second arrived with the first.
    oracle.terminate();
    assert_eq!(busy.answer().sojourn(), Duration::from_millis(400));
    assert_eq!(oracle.wait().code(), Some(0));
    assert_eq!(busy.outcome(), Outcome::Ended(None));
    drop(idle);
}

#[test]
fn what_lasts_too_long_does_not_hold_the_end_up() {
    let mut oracle = Oracle::start("--service constant:3600s --faults silent:1");
    let mut client = oracle.connect();
    client.ask(1);
    let start = Instant::now();
    oracle.terminate();
    assert_eq!(oracle.wait().code(), Some(0));
    // The contract gives it a second; how long the machine takes to notice is not its business.
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

/// Connections that the server knows, since each has had an answer.
fn connected(oracle: &Oracle, count: usize) -> Vec<Client> {
    let known = |_| {
        let mut client = oracle.connect();
        client.ask(1);
        client.answer();
        client
    };
    (0..count).map(known).collect()
}

#[test]
fn the_first_request_touches_what_it_should() {
    let oracle = Oracle::start("--touch 64MiB");
    let before = oracle.resident();
    assert!(before < 64 * MIB);
    let client = connected(&oracle, 1);
    let touched = oracle.resident() - before;
    assert!((64 * MIB..65 * MIB).contains(&touched), "{touched} bytes");
    drop((client, connected(&oracle, 5)));
    assert!(oracle.resident() - before < 65 * MIB, "only the first does");
}

#[test]
fn each_connection_holds_its_memory() {
    let oracle = Oracle::start("--per-connection 16KiB");
    let first = connected(&oracle, 100);
    let before = oracle.resident();
    let more = connected(&oracle, 500);
    let each = (oracle.resident() - before) / 500;
    assert!((16_384..16_384 * 103 / 100).contains(&each), "{each} bytes a connection");
    // It is free again for those who come later.
    let peak = oracle.resident();
    drop((first, more));
    let _later = connected(&oracle, 300);
    assert!(oracle.resident() <= peak + MIB);
}

#[test]
fn the_burn_is_the_server_s_cpu() {
    let oracle = Oracle::start("--burn 100us");
    // The loop is the main thread, whose CPU time in nanoseconds is the file's first number.
    let cpu = || -> u64 {
        oracle.proc("schedstat").split(' ').next().and_then(|n| n.parse().ok()).expect("nanoseconds")
    };
    let mut client = oracle.connect();
    let before = cpu();
    for _ in 0..500 {
        client.ask(1);
        client.answer();
    }
    // The kernel counts a running thread's time at its switches: the last burn may not be in yet.
    assert!(cpu() - before >= 499 * 100_000);
}

#[test]
fn nothing_spins_while_nothing_is_due() {
    let oracle = Oracle::start("--service constant:400ms");
    let mut client = oracle.connect();
    client.ask(1);
    client.answer();
    let cpu: u64 = oracle.proc("schedstat").split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    // Waiting for the answer takes no CPU but for its last instants.
    assert!(cpu < 200_000_000, "{cpu} ns");
}

#[test]
fn wrong_arguments_get_one_clear_line() {
    for (line, said) in [
        ("--service fast", "write none, constant:2ms or exponential:2ms"),
        ("--servers 4", "--servers has no effect without --service"),
        ("--stall 10s/1s", "the stall must be shorter than its period"),
        ("--faults nosuch:3", "there is no fault 'nosuch'"),
        ("--faults status:5,close:0", "give a number from 1"),
        ("--addr x", "invalid value 'x' for '--addr <ADDR>'"),
        ("--flavor x", "unexpected argument '--flavor'"),
        ("--deaf --faults close:1", "cannot be used with"),
    ] {
        let output = program().args(line.split_whitespace()).output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
        assert!(stderr.starts_with("error: ") && stderr.contains(said), "{line}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{line}: {stderr}");
    }
}

#[test]
fn a_taken_port_is_one_line_too() {
    let oracle = Oracle::start("");
    let output = program().args(["--addr", &oracle.ready.addr.to_string()]).output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.starts_with("error: cannot bind"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn the_help_explains_the_laws() {
    let output = program().arg("--help").output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for word in ["departure(n)", "--service", "--stall", "--faults", "--per-connection"] {
        assert!(text.contains(word), "{word}: {text}");
    }
}
