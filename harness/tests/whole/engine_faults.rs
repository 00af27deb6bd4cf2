//! Faults under the load engine: the fate that is counted, and the verdict on the row.

use crate::common::{Fake, eventually, is_running};
use harness::host::usage::descendants;
use harness::record::row::Row;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The flags of a load of a second on the path that shows the fault.
const LOAD: [&str; 8] = ["--blocks", "1", "--route", "wait?ms=7", "--processes", "1", "--warmup", "0s"];

fn row_of(fault: &str, code: i32, more: &[&str]) -> Row {
    let fake = Fake::new(&["--fault", fault]);
    fake.run(&LOAD).args(["--duration", "1s"]).args(more).assert().code(code);
    let row = the_row(&fake);
    let fates = [
        row.ok,
        row.bad_status,
        row.bad_body,
        row.err_connect,
        row.err_read,
        row.err_write,
        row.timed_out,
        row.shed,
        row.in_flight_at_end,
    ];
    assert_eq!(fates.into_iter().flatten().sum::<u64>(), row.scheduled.expect("measured"), "{row:?}");
    row
}

/// The contestant's last row: a noisy host has it run again.
fn the_row(fake: &Fake) -> Row {
    fake.rows().pop().expect("a row")
}

const OPEN: [&str; 8] =
    ["--strategy", "open-loop", "--rate", "100", "--arrival", "constant", "--concurrency", "16"];

#[test]
fn wrong_and_missing_answers_have_their_fates_and_the_verdict_errors() {
    // Every fate on every driver is a test of the engine's own; here one of each comes to its column.
    type Fate = fn(&Row) -> Option<u64>;
    let faults: [(&str, &str, Fate); 2] =
        [("io_uring", "wrong-body", |row| row.bad_body), ("epoll", "resets", |row| row.err_read)];
    for (driver, fault, fate) in faults {
        let row = row_of(fault, 3, &[&OPEN[..], &["--driver", driver]].concat());
        assert_eq!((row.scheduled, row.ok, fate(&row)), (Some(100), Some(0), Some(100)), "{fault}");
        assert_eq!((row.verdict.as_str(), row.client_driver.as_str()), ("errors", driver), "{fault}");
        assert_eq!((row.throughput_rps, row.response_mean_us), (Some(0.0), None), "{fault}");
    }
}

#[test]
fn every_third_connection_that_is_closed_is_counted() {
    let row = row_of("closes-thirds", 3, &["--strategy", "churn", "--rate", "90"]);
    assert_eq!((row.ok, row.err_read, row.connects), (Some(60), Some(30), Some(90)), "{row:?}");
    assert_eq!(row.verdict, "errors");
    // On kept connections every third request breaks its own.
    let row = row_of("closes-thirds", 3, &["--strategy", "closed-loop", "--concurrency", "3"]);
    let (ok, broken) = (row.ok.expect("measured"), row.err_read.expect("measured"));
    assert!(broken > 10 && ok.abs_diff(2 * broken) <= 6, "{row:?}");
}

#[test]
fn a_server_that_stops_answering_runs_into_the_timeout() {
    let row = row_of("hangs", 3, &[&OPEN[..], &["--timeout", "300ms"]].concat());
    assert_eq!((row.scheduled, row.ok), (Some(100), Some(4)), "{row:?}");
    assert_eq!(row.timed_out.zip(row.shed).map(|(a, b)| a + b), Some(96), "{row:?}");
    // The median is among them, so that nobody knows it.
    assert_eq!((row.verdict.as_str(), row.response_p50_us), ("errors", None));
}

#[test]
fn a_server_that_dies_fails_the_row() {
    let row = row_of("dies", 4, &OPEN);
    assert_eq!((row.verdict.as_str(), row.ok), ("failed", Some(4)), "{row:?}");
    assert!(row.error.contains("exit status 7"), "{}", row.error);
}

/// A run of two seconds at 100 a second, under way.
fn start(fake: &Fake) -> Child {
    let run = fake.run(&[]);
    let mut command = Command::new(run.get_program());
    command.args(run.get_args()).args(LOAD).args(OPEN).args(["--duration", "2s", "--timeout", "10s"]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("built")
}

/// Waits for the process of a run whose command line begins or ends with this word, while the row of the fake server
/// is measured: its ceiling has no fault.
fn process_of(run: &Child, word: &str) -> Pid {
    let mut found = None;
    eventually("the process is there", || {
        let children = descendants(run.id().cast_signed());
        let command_lines: Vec<(i32, Vec<String>)> = children
            .into_iter()
            .filter_map(|pid| Some((pid, procfs::process::Process::new(pid).ok()?.cmdline().ok()?)))
            .collect();
        let server =
            command_lines.iter().any(|(_, line)| line.iter().filter(|w| *w == "--fault").count() == 1);
        let client = command_lines.iter().any(|(_, line)| line.last().is_some_and(|last| last == "client"));
        let wanted = command_lines
            .iter()
            .find(|(_, line)| [line.first(), line.last()].into_iter().flatten().any(|w| w.ends_with(word)));
        found = wanted.filter(|_| server && client).map(|(pid, _)| Pid::from_raw(*pid));
        found.is_some()
    });
    found.expect("waited for")
}

/// Lets the load get under way: the server has been asked for its faulty path.
fn under_way() {
    thread::sleep(Duration::from_millis(500));
}

#[test]
fn a_client_that_is_killed_costs_its_row_and_no_more() {
    let fake = Fake::new(&["--fault", "none"]);
    let mut run = start(&fake);
    let client = process_of(&run, "client");
    under_way();
    kill(client, Signal::SIGKILL).expect("ours");
    assert_eq!(run.wait().expect("ours").code(), Some(4));
    let row = the_row(&fake);
    assert!(row.error.contains("the client died: signal 9"), "{}", row.error);
    assert_eq!((row.verdict.as_str(), row.ok), ("failed", None));
    assert!(fake.out().join("summary.csv").exists());
}

#[test]
fn an_agent_that_is_killed_costs_its_row_and_leaves_nothing_running() {
    let fake = Fake::new(&["--fault", "none"]);
    let mut run = start(&fake);
    let agent = process_of(&run, "agent");
    let below = descendants(agent.as_raw());
    assert!(below.len() >= 2, "a client and a guarded server: {below:?}");
    under_way();
    kill(agent, Signal::SIGKILL).expect("ours");
    for pid in below {
        eventually("what it started is gone", || !is_running(pid));
    }
    // Another agent is started for what is left of the run.
    assert_eq!(run.wait().expect("ours").code(), Some(4));
    let row = the_row(&fake);
    assert!(row.error.starts_with("the agent ended: signal 9"), "{}", row.error);
    assert_eq!((row.verdict.as_str(), row.ok), ("failed", None));
    assert!(fake.out().join("summary.csv").exists());
}

#[test]
fn who_is_killed_while_a_server_is_checked_keeps_no_server_from_being_measured() {
    for victim in ["agent", "server"] {
        let fake = Fake::new(&["--fault", "none"]);
        let ready = fake.run(&[]);
        let mut command = Command::new(ready.get_program());
        command.args(ready.get_args()).args(LOAD).args(OPEN).args(["--duration", "200ms"]);
        let run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("built");
        let mut found = None;
        eventually("a server is checked", || {
            let all: Vec<(i32, Vec<String>)> = descendants(run.id().cast_signed())
                .into_iter()
                .filter_map(|pid| Some((pid, procfs::process::Process::new(pid).ok()?.cmdline().ok()?)))
                .collect();
            let agent = all.iter().find(|(_, line)| line.last().is_some_and(|word| word == "agent"));
            let server =
                all.iter().find(|(_, line)| line.first().is_some_and(|word| word.ends_with("fake-server")));
            found = server
                .and(if victim == "agent" { agent } else { server })
                .map(|(pid, _)| Pid::from_raw(*pid));
            found.is_some()
        });
        kill(found.expect("waited for"), Signal::SIGKILL).expect("ours");
        let output = run.wait_with_output().expect("ours");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("note: fake is checked again: "), "{victim}: {said}");
        assert_eq!(output.status.code(), Some(0), "{victim}: {said}");
        assert_eq!(the_row(&fake).error, "", "{victim}");
    }
}

#[test]
fn a_client_that_is_stopped_is_late_and_says_so() {
    let fake = Fake::new(&["--fault", "none"]);
    let mut run = start(&fake);
    let client = process_of(&run, "client");
    under_way();
    kill(client, Signal::SIGSTOP).expect("ours");
    thread::sleep(Duration::from_millis(500));
    kill(client, Signal::SIGCONT).expect("ours");
    assert_eq!(run.wait().expect("ours").code(), Some(0));
    let rows = fake.rows();
    let row = &rows[0];
    assert_eq!((row.scheduled, row.ok), (Some(200), Some(200)), "{row:?}");
    // All that was due meanwhile was sent late, and not left out.
    assert!(row.lateness_max_us > Some(400_000.0), "{row:?}");
    assert!(row.response_max_us > Some(400_000.0), "{row:?}");
    assert!(["late_generator", "noisy_host"].contains(&row.verdict.as_str()), "{}", row.verdict);
}

#[test]
fn a_client_that_is_starved_is_not_believed() {
    let fake = Fake::new(&["--fault", "none"]);
    let mut run = start(&fake);
    let client = process_of(&run, "client");
    // A small part of its CPU, with eight others that want it: too little to send in time, enough to report in time.
    let nice = Command::new("renice").args(["-n", "10", "-p", &client.to_string()]).output();
    assert!(nice.expect("renice").status.success());
    let mut spinning: Vec<Child> =
        (0..8).map(|_| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh")).collect();
    let code = run.wait().expect("ours").code();
    for child in &mut spinning {
        child.kill().expect("ours");
        child.wait().expect("ours");
    }
    assert_eq!(code, Some(0), "{:?}", fake.rows());
    let row = &fake.rows()[0];
    assert_eq!(row.scheduled, row.ok, "{row:?}");
    assert!(["late_generator", "noisy_host"].contains(&row.verdict.as_str()), "{row:?}");
}

#[test]
fn a_server_that_is_stopped_shows_in_the_response_times() {
    let fake = Fake::new(&["--fault", "none"]);
    let mut run = start(&fake);
    let server = process_of(&run, "fake-server");
    under_way();
    kill(server, Signal::SIGSTOP).expect("ours");
    thread::sleep(Duration::from_secs(1));
    kill(server, Signal::SIGCONT).expect("ours");
    assert_eq!(run.wait().expect("ours").code(), Some(0));
    let row = &fake.rows()[0];
    assert_eq!((row.scheduled, row.ok), (Some(200), Some(200)), "{row:?}");
    assert!(row.response_max_us > Some(800_000.0), "{row:?}");
    assert_ne!(row.verdict, "late_generator", "{row:?}");
}
