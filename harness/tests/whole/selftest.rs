//! The selftest finds every deliberate fault of the client, and none where there is none. Only figures that do
//! not depend on how busy the machine is are asserted; `harness selftest` itself is for a quiet one.
//!
//! Most take a quarter of a minute, and are left to `scripts/test_integration.sh`.

use crate::common::{built, harness};
use harness::host::cpus::Cpus;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

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

/// Takes 15% of every CPU's time until it is dropped.
struct Burners(Arc<AtomicBool>);

impl Burners {
    fn start() -> Burners {
        let over = Arc::new(AtomicBool::new(false));
        for cpu in Cpus::allowed().expect("affinity").list().to_vec() {
            let over = over.clone();
            thread::spawn(move || {
                Cpus::new([cpu]).pin_this_thread().expect("one of its CPUs");
                while !over.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_micros(7500) {
                        std::hint::spin_loop();
                    }
                    thread::sleep(Duration::from_micros(42_500));
                }
            });
        }
        Burners(over)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
#[ignore = "long"]
fn every_fate_is_counted() {
    // With a timeout of 4 s: a busy machine must not make others run into it. Sequential is what each thread of
    // thread-pool does.
    let strategies = "open-loop,churn,async,thread-pool";
    passes(&["--only", "K10", "--strategy", strategies, "--driver", "epoll", "--tolerance-factor", "4"]);
}

#[test]
fn known_memory_is_found() {
    passes(&["--only", "K9", "--driver", "epoll", "--tolerance-factor", "3"]);
}

#[test]
#[ignore = "long"]
fn closed_loops_are_bounded_by_little_s_law() {
    // Bounds that hold on a busy machine too: what is late at one end of a second is made up for in the next.
    let (figures, _) = figures(&["--only", "K1", "--strategy", "closed-loop", "--driver", "epoll"]);
    let number = |figure: &Value, field| text(figure, field).parse::<f64>().expect("a number");
    for figure in &figures {
        let (name, expected, measured) =
            (text(figure, "figure"), number(figure, "expected"), number(figure, "measured"));
        let is_so = match name {
            "throughput_rps" => measured > 0.0 && measured <= expected * 1.2,
            "service mean" | "service p50" => measured >= expected * 0.7,
            "in_flight_mean" => measured <= expected * 1.001,
            "failed" => measured < 1.0,
            _ => continue,
        };
        assert!(is_so, "{figure:#?}");
    }
    assert_eq!(figures.len(), 12 + 16, "16 clients and 2, and the same on two servers that take turns");
}

#[test]
fn a_slow_clock_is_found() {
    finds("K2", "slow-clock", "service p50", |ms| ms < 19.5);
}

#[test]
#[ignore = "long"]
fn a_wrong_unit_is_found() {
    finds("K2", "wrong-unit", "response p50", |ms| ms < 1.0);
}

#[test]
#[ignore = "long"]
fn whole_milliseconds_are_found() {
    finds("K2", "whole-milliseconds", "response p50", |ms| ms > 20.9);
}

#[test]
#[ignore = "long"]
fn whole_milliseconds_look_like_noise_and_are_found_beside_it() {
    let _burners = Burners::start();
    finds("K2", "whole-milliseconds", "service p1", |ms| ms > 20.9);
}

#[test]
#[ignore = "long"]
fn waiting_that_is_left_out_is_found() {
    finds("K5", "omit-waiting", "response max", |ms| ms < 1000.0);
}

#[test]
#[ignore = "long"]
fn requests_that_are_forgotten_at_the_end_are_found() {
    finds("K10", "drop-in-flight", "scheduled", |requests| requests < 2000.0);
}

#[test]
#[ignore = "long"]
fn a_wrong_status_that_counts_is_found() {
    finds("K10", "any-status", "bad_status", |requests| requests < 1.0);
}

#[test]
fn a_case_that_does_not_exist_is_refused() {
    harness().args(["selftest", "--only", "K8"]).assert().code(2);
    harness().args(["selftest", "--only", "K9", "--strategy", "sequential"]).assert().code(2);
}
