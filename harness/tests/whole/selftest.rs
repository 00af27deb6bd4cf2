//! The selftest finds every deliberate fault of the client, and none where there is none. Only figures that do
//! not depend on how busy the machine is are asserted; `harness selftest` itself is for a quiet one.

use crate::common::{built, harness};
use serde_json::Value;
use std::time::Duration;

/// The figures of a selftest with these arguments, and its exit code.
fn figures(arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    // Before the clock of the command's own time limit runs.
    built("rt-oracle");
    let mut command = harness();
    command.timeout(Duration::from_secs(300)).arg("selftest").args(arguments).args(["--format", "json"]);
    let output = command.output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let figures = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    (figures, output.status.code())
}

fn text<'a>(figure: &'a Value, field: &str) -> &'a str {
    figure[field].as_str().unwrap_or_default()
}

fn passes(arguments: &[&str]) {
    let (figures, code) = figures(arguments);
    let failed: Vec<&Value> = figures.iter().filter(|figure| figure["passed"] != true).collect();
    assert!(failed.is_empty() && code == Some(0), "{code:?} {failed:#?}");
}

/// Runs one case on an open loop with a fault, which must show in the figure `name` as a number that `shows`
/// accepts.
fn finds(case: &str, mutation: &str, name: &str, shows: fn(f64) -> bool) {
    let arguments = ["--only", case, "--strategy", "open-loop", "--driver", "epoll", "--mutate", mutation];
    let (figures, code) = figures(&arguments);
    assert_eq!(code, Some(1), "{figures:#?}");
    let figure = figures.iter().find(|figure| text(figure, "figure") == name).expect("the figure");
    assert_eq!(figure["passed"], false, "{figure:#?}");
    assert!(text(figure, "measured").parse().is_ok_and(shows), "{figure:#?}");
}

#[test]
fn every_fate_is_counted_by_every_strategy() {
    passes(&["--only", "K10"]);
}

#[test]
fn known_memory_is_found() {
    passes(&["--only", "K9", "--driver", "epoll", "--tolerance-factor", "3"]);
}

#[test]
fn closed_loops_have_the_throughput_of_little_s_law() {
    // The clients' number decides, by a factor of 2 and more.
    passes(&["--only", "K1", "--strategy", "closed-loop,sequential", "--tolerance-factor", "30"]);
}

#[test]
fn a_slow_clock_is_found() {
    finds("K2", "slow-clock", "service p50", |ms| ms < 19.5);
}

#[test]
fn a_wrong_unit_is_found() {
    finds("K2", "wrong-unit", "response p50", |ms| ms < 1.0);
}

#[test]
fn whole_milliseconds_are_found() {
    finds("K2", "whole-milliseconds", "response p50", |ms| ms > 20.9);
}

#[test]
fn waiting_that_is_left_out_is_found() {
    finds("K5", "omit-waiting", "response max", |ms| ms < 1000.0);
}

#[test]
fn requests_that_are_forgotten_at_the_end_are_found() {
    finds("K10", "drop-in-flight", "scheduled", |requests| requests < 2000.0);
}

#[test]
fn a_wrong_status_that_counts_is_found() {
    finds("K10", "any-status", "bad_status", |requests| requests < 1.0);
}

#[test]
fn a_case_that_does_not_exist_is_refused() {
    harness().args(["selftest", "--only", "K8"]).assert().code(2);
    harness().args(["selftest", "--only", "K9", "--strategy", "sequential"]).assert().code(2);
}
