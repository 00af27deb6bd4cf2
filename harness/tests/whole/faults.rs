//! Servers that fail: a row with its error and their last lines, the run goes on, nothing is left.

use crate::common::Fake;
use predicates::prelude::*;

/// Runs the faulty server and returns its only row.
fn row_of(fault: &str, code: i32, strategy: &str, more: &[&str]) -> harness::record::row::Row {
    let fake = Fake::new(&["--fault", fault]);
    fake.run_faulty(strategy, more).assert().code(code);
    let mut rows = fake.rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(fake.out().join("summary.csv").exists() && fake.out().join("run.json").exists());
    rows.remove(0)
}

#[test]
fn a_server_that_does_not_start() {
    let row = row_of("no-start", 4, "sequential", &[]);
    assert!(row.error.contains("did not start: exit status 3"), "{}", row.error);
    assert!(row.error.contains("no database at localhost:5432"), "{}", row.error);
    assert_eq!((row.ok, row.throughput_rps), (None, None));
}

#[test]
fn a_server_that_is_never_ready() {
    let fake = Fake::with("protocol = \"contract\"\nstart_limit_s = 0.3", &["--fault", "silent"]);
    fake.run_faulty("sequential", &[]).assert().code(4);
    assert!(fake.rows()[0].error.contains("was not ready within 0.3 s"), "{}", fake.rows()[0].error);
}

#[test]
fn a_server_that_says_something_wrong() {
    assert!(row_of("chatty", 4, "sequential", &[]).error.contains("its ready line is wrong"));
    assert!(row_of("stale", 4, "sequential", &[]).error.contains("was built with contract 0123456789abcdef"));
    assert!(row_of("liar", 4, "sequential", &[]).error.contains("does not listen on 127.0.0.1:1"));
    let elsewhere = row_of("elsewhere", 4, "sequential", &[]).error;
    assert!(
        elsewhere.contains("its ready line says 192.0.2.1:80: load is sent to the loopback"),
        "{elsewhere}"
    );
}

#[test]
fn a_server_that_breaks_the_contract_is_not_measured() {
    let row = row_of("wrong-replies", 4, "sequential", &[]);
    assert!(row.error.contains("verify failed"), "{}", row.error);
    assert_eq!(row.scheduled, None);
}

#[test]
fn a_server_that_dies_under_load() {
    let row = row_of("dies", 4, "sequential", &[]);
    // Found dead under load, or when it was to be stopped: the requests may have failed that fast.
    assert!(row.error.contains("exit status 7"), "{}", row.error);
    assert!(row.error.contains("out of coffee"), "{}", row.error);
    assert_eq!(row.ok, Some(4));
    let fates = [row.bad_status, row.bad_body, row.err_connect, row.err_read, row.err_write, row.timed_out];
    let failed: u64 = fates.into_iter().flatten().sum();
    assert_eq!(row.scheduled, Some(4 + failed));
    assert!(failed > 0);
}

#[test]
fn a_server_that_hangs_is_given_up_and_its_requests_counted() {
    let row = row_of("hangs", 4, "sequential", &["--timeout", "200ms"]);
    assert_eq!((row.scheduled, row.ok, row.timed_out), (Some(7), Some(4), Some(3)));
    assert!(row.error.contains("gave up after 3 timeouts in a row, 13 requests not begun"), "{}", row.error);
}

#[test]
fn wrong_answers_are_counted_by_kind_and_are_no_throughput() {
    type Count = fn(&harness::record::row::Row) -> Option<u64>;
    let faults: [(&str, &str, Count); 4] = [
        ("unavailable", "sequential", |row| row.bad_status),
        ("wrong-body", "async", |row| row.bad_body),
        ("closes", "async", |row| row.err_read),
        ("truncates", "thread-pool", |row| row.err_read),
    ];
    for (fault, strategy, count) in faults {
        let row = row_of(fault, 3, strategy, &[]);
        assert_eq!((row.scheduled, row.ok, count(&row)), (Some(20), Some(0), Some(20)), "{fault} {strategy}");
        assert_eq!((row.throughput_rps, row.service_mean_us), (Some(0.0), None), "{fault} {strategy}");
        assert!(row.error.contains("20 of 20 requests failed"), "{}", row.error);
    }
}

#[test]
fn a_server_that_does_not_stop_or_ends_badly() {
    let row = row_of("stubborn", 4, "sequential", &[]);
    assert!(row.error.contains("did not stop within 3 s"), "{}", row.error);
    assert_eq!(row.ok, Some(20));
    let row = row_of("unaware", 4, "sequential", &[]);
    assert!(row.error.contains("ended with exit status 143"), "{}", row.error);
    let row = row_of("bad-end", 4, "sequential", &[]);
    assert!(row.error.contains("ended with exit status 9"), "{}", row.error);
    assert_eq!(row.ok, Some(20));
}

#[test]
fn the_work_of_processes_that_start_under_load_is_the_server_s() {
    for fault in ["delegates", "delegates-once"] {
        let fake = Fake::new(&["--fault", fault]);
        // On a busy machine it takes more than a second, and then attempts are voided.
        fake.run_faulty("sequential", &[]).assert().code(predicate::ne(4));
        let rows = fake.rows();
        assert!(!rows.is_empty());
        for row in rows {
            assert_eq!((row.ok, row.error.as_str()), (Some(20), ""), "{fault}");
            // The child used 200 ms; what has ended is counted in ticks.
            let cpu_us = row.server_cpu_us_per_request.expect("all of it is known") * 20.0;
            assert!(cpu_us >= 180_000.0, "{fault}: {cpu_us}");
            // A process that has ended is none whose memory could still be read.
            assert_eq!(row.server_peak_rss_bytes.is_some(), fault == "delegates", "{fault}");
        }
    }
}

#[test]
fn the_rest_of_a_run_goes_on_after_a_failure() {
    let fake = Fake::new(&["--fault", "dies"]);
    let more = [
        "--route",
        "wait?ms=7,wait?ms=1",
        "--strategy",
        "sequential",
        "--requests",
        "20",
        "--seed",
        "1",
        "--blocks",
        "1",
        "--processes",
        "1",
    ];
    fake.run(&more).assert().code(4).stderr(predicate::str::contains("1 of 3 rows have an error"));
    let rows = fake.rows();
    assert_eq!(rows.len(), 2);
    let good = rows.iter().find(|row| row.route == "/wait?ms=1").expect("measured");
    assert_eq!((good.ok, good.error.as_str()), (Some(20), ""));
}

#[test]
fn a_full_disk_is_an_error_and_what_was_written_stays_readable() {
    let fake = Fake::new(&[]);
    // 8 blocks of 512 bytes hold the header and a few rows, and not 40 of them.
    let program = fake.run(&[]);
    let mut command = assert_cmd::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\""]).arg(program.get_program());
    command.args(["--server", "fake", "--blocks", "40", "--processes", "1", "--strategy", "sequential"]);
    command.args(["--route", "wait?ms=1", "--requests", "1", "--manifest"]).arg(fake.manifest());
    command.arg("--out").arg(fake.out());
    command.assert().code(4).stderr(predicate::str::contains("the rows before this one are whole"));
    let rows = fake.rows();
    assert!(!rows.is_empty() && rows.len() < 40, "{}", rows.len());
    assert!(rows.iter().all(|row| row.ok == Some(1)));
}
