//! Runs of two servers: the control, and going on after a kill as if nothing had been.

use crate::common::{Fake, eventually, harness, two};
use harness::record::directory::histograms_name;
use harness::record::row::Row;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use std::fs;
use std::process::{Command, Stdio};

/// Two blocks: two ceilings, and two groups of the two servers and the control.
const SELECTION: [&str; 14] = [
    "--server",
    "one,two",
    "--strategy",
    "sequential,async",
    "--requests",
    "3",
    "--route",
    "wait?ms=1",
    "--processes",
    "1",
    "--blocks",
    "2",
    "--seed",
    "11",
];

fn command(fake: &Fake) -> Command {
    let mut command = Command::new(harness().get_program());
    command.args(SELECTION).arg("--manifest").arg(fake.manifest()).arg("--out").arg(fake.out());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn resume(fake: &Fake) -> assert_cmd::Command {
    let mut command = harness();
    command.arg("--resume").arg(fake.out());
    command
}

/// What says which replicate a row is of.
fn identities(fake: &Fake) -> Vec<String> {
    let identity = |row: &Row| {
        let place = (row.block, row.attempt, row.order_index);
        let work = (&row.route, &row.strategy, row.requests, row.concurrency, row.seed);
        format!("{place:?} {} {} {work:?} {}", row.server, row.role, row.error)
    };
    fake.all_rows().iter().map(identity).collect()
}

fn uninterrupted() -> (Fake, Vec<String>) {
    let fake = two();
    assert_eq!(command(&fake).status().expect("starts").code(), Some(0));
    let identities = identities(&fake);
    (fake, identities)
}

#[test]
fn one_server_runs_a_second_time_as_the_control() {
    let (fake, _) = uninterrupted();
    let rows = fake.all_rows();
    assert_eq!(rows.len(), 2 * (2 + 2 * 3));
    let control = fake.record()["control"].as_str().expect("a name").to_owned();
    for role in ["contestant", "control", "ceiling"] {
        let of_role: Vec<&Row> = rows.iter().filter(|row| row.role == role).collect();
        let expected = if role == "contestant" { 8 } else { 4 };
        assert_eq!(of_role.len(), expected, "{role}");
        assert!(
            of_role.iter().all(|row| (role == "control") == (row.server == format!("{control}.control")))
        );
    }
    // What is compared stands together: each server once in each group.
    for block in rows.chunks(8) {
        for group in block[2..].chunks(3) {
            assert!(
                group.iter().all(|row| (&row.route, &row.strategy) == (&group[0].route, &group[0].strategy))
            );
            let mut servers: Vec<&str> = group.iter().map(|row| row.server.as_str()).collect();
            servers.sort_unstable();
            let mut expected = vec!["one".to_owned(), "two".to_owned(), format!("{control}.control")];
            expected.sort_unstable();
            assert_eq!(servers, expected);
        }
    }
    // It is the same program, and says the same of itself.
    assert!(rows.iter().all(|row| row.runtime == "fake"));
    let summary = fs::read_to_string(fake.out().join("summary.csv")).expect("there");
    assert!(summary.contains(&format!(",{control}.control,")), "{summary}");
}

#[test]
fn a_killed_run_is_continued_as_if_nothing_had_been() {
    let (_, expected) = uninterrupted();
    for rows in [0, 4, 11] {
        let fake = two();
        let mut run = command(&fake).spawn().expect("starts");
        eventually("rows are written", || {
            fake.out().join("run.json").exists() && fake.all_rows().len() >= rows
        });
        run.kill().expect("ours");
        run.wait().expect("ours");
        let written = identities(&fake);
        assert!(written.len() < expected.len(), "too late to be killed");
        resume(&fake).assert().code(0).stdout(predicate::str::contains("summary.csv"));
        assert_eq!(identities(&fake), expected);
        let record = fake.record();
        assert_eq!(
            (&record["interrupted"], record["resumed_at"].as_array().map(Vec::len)),
            (&false.into(), Some(1))
        );
        assert!(record["ended_at"].is_string());
        let mut summary = csv::Reader::from_path(fake.out().join("summary.csv")).expect("there");
        assert_eq!(summary.records().count(), 8);
        // Each row has its histograms, and nothing else has.
        let mut named: Vec<String> = fake.all_rows().iter().map(histograms_name).collect();
        let folder = fs::read_dir(fake.out().join("histograms")).expect("there");
        let mut there: Vec<String> =
            folder.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8")).collect();
        named.sort_unstable();
        there.sort_unstable();
        assert_eq!(there, named);
    }
}

#[test]
fn a_row_half_written_is_measured_again() {
    let (fake, expected) = uninterrupted();
    let whole = fs::read(fake.out().join("cells.csv")).expect("there");
    let lines: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    // In the middle of the first row, one byte before the end of another, and between two.
    for length in [lines[0] + 40, lines[9] - 1, lines[lines.len() - 2]] {
        fake.cut(&whole[..length]);
        resume(&fake).assert().code(0);
        assert_eq!(identities(&fake), expected, "{length}");
    }
}

#[test]
fn ctrl_c_can_be_followed_by_resume() {
    let (_, expected) = uninterrupted();
    let fake = two();
    let mut run = command(&fake).spawn().expect("starts");
    eventually("a row is written", || fake.out().join("run.json").exists() && !fake.all_rows().is_empty());
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGINT).expect("ours");
    assert_eq!(run.wait().expect("ours").code(), Some(130));
    assert_eq!(fake.record()["interrupted"], true);
    resume(&fake).assert().code(0);
    assert_eq!(identities(&fake), expected);
}

/// Refused in one line, and nothing is changed.
fn refused(fake: &Fake, arguments: &[&str], said: &str) {
    let before = fs::read(fake.out().join("cells.csv")).expect("there");
    let output = resume(fake).args(arguments).output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(stderr.contains(said) && stderr.trim_end().lines().count() == 1, "{said}: {stderr}");
    assert_eq!(fs::read(fake.out().join("cells.csv")).expect("there"), before);
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let (fake, _) = uninterrupted();
    refused(&fake, &[], "is complete: there is nothing to resume");
    for flags in [["--server", "one"], ["--seed", "1"], ["--out", "/nowhere"], ["--placement", "split"]] {
        refused(&fake, &flags, &format!("{} has no effect with --resume", flags[0]));
    }
    let path = fake.out().join("run.json");
    let whole = fake.record();
    let with = |change: fn(&mut serde_json::Value)| {
        let mut changed = whole.clone();
        changed["ended_at"] = serde_json::Value::Null;
        change(&mut changed);
        fs::write(&path, changed.to_string()).expect("written");
    };
    with(|record| record["build"]["harness_sha256"] = "0".into());
    refused(&fake, &[], "results of two builds do not mix");
    with(|record| record["servers"]["one"]["binary_sha256"] = "0".into());
    refused(&fake, &[], "one differs in its program, and results of two builds do not mix");
    with(|record| record["servers"]["two"]["ready_line"]["runtime_version"] = "0.9".into());
    refused(&fake, &[], "two differs in its ready line");
    with(|record| record["machine"]["cores"] = 77.into());
    refused(&fake, &[], "on another machine: its cores was 77");
    with(|record| record["seed"] = 12.into());
    refused(&fake, &[], "which is not what its seed gives");
    // Its manifest has changed.
    with(|_| {});
    let manifest = fs::read_to_string(fake.manifest()).expect("there");
    fs::write(
        fake.manifest(),
        manifest.replacen("name = \"one\"", "name = \"one\"\nargs = [\"--workers\", \"1\"]", 1),
    )
    .expect("written");
    refused(&fake, &[], "one differs in its manifest");
    harness()
        .args(["--resume", "/nonexistent"])
        .assert()
        .code(2)
        .stderr(predicate::str::contains("cannot read"));
}
