//! Runs that go on until they have decided.

use crate::common::{CEILING, Fake, eventually, fake_server, harness};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use std::fs;
use std::process::Stdio;

/// An experiment of one figure that no other process moves, on the route on which the fake server shows its fault.
const EXPERIMENT: &str = "question = 'q'\nblocks = 3\nfigures = ['server_peak_rss_bytes']\n[[load]]\nstrategy = 'sequential'\nroute = 'wait?ms=7'\nrequests = 3\n";

/// Two contestants, of which one takes ten times as much memory: whatever the machine does, eight blocks tell.
fn two() -> Fake {
    let fake = Fake::new(&[]);
    let program = fake_server();
    let servers = "[[server]]\nname = \"one\"\nhas = [\"*\"]\n\
        [[server]]\nname = \"two\"\nhas = [\"*\"]\nargs = [\"--fault\", \"greedy\"]\n";
    let manifest = format!("command = [{program:?}]\nprotocol = \"contract\"\n{servers}{CEILING}");
    fs::write(fake.manifest(), manifest).expect("written");
    fs::write(fake.folder.path().join("waits.toml"), EXPERIMENT).expect("written");
    fake
}

fn until(fake: &Fake, more: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(harness().get_program());
    command.args(["--until", "decided", "--server", "one,two", "--seed", "11", "--experiment"]);
    command.arg(fake.folder.path().join("waits.toml")).arg("--manifest").arg(fake.manifest());
    command.arg("--out").arg(fake.out()).args(more);
    command
}

fn blocks(fake: &Fake) -> usize {
    fake.all_rows().iter().map(|row| row.block).max().unwrap_or(0)
}

fn decided_at_once() -> serde_json::Value {
    serde_json::json!([{ "blocks": 8, "decided": 1, "undecided": 0 }])
}

#[test]
fn a_run_goes_on_until_it_has_decided_and_says_what_it_looked_at() {
    let fake = two();
    let output = until(&fake, &[]).output().expect("it ends");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    let record = fake.record();
    assert_eq!(record["until"]["looks"], decided_at_once());
    assert_eq!((&record["blocks"], &record["until"]["alpha"]), (&8.into(), &0.0125.into()));
    assert_eq!(blocks(&fake), 8);
    assert!(stdout.contains("\ndecided after 8 blocks: all 1 pairs"), "{stdout}");
    let outlook = "after two blocks: with 27 could be told, four times in five: peak memory ";
    assert!(stdout.contains(outlook) && stdout.contains("\nto tell 5%: peak memory "), "{stdout}");
    assert!(stdout.contains("two takes") && stdout.contains("(could tell)"), "{stdout}");
    // Made anew from the rows, all says the same.
    let tables = ["pairs.csv", "summary.csv", "report.html"].map(|file| fake.out().join(file));
    let read = || tables.clone().map(|path| fs::read_to_string(path).expect("there"));
    let before = read();
    harness().args(["report", "--rewrite"]).arg(fake.out()).assert().code(0);
    // Without the three files in the message.
    assert!(read() == before, "a file has changed");
}

#[test]
fn when_the_time_is_over_the_block_is_completed_and_what_is_open_is_said() {
    let fake = two();
    let output = until(&fake, &["--at-most", "1ms"]).output().expect("it ends");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{stdout}");
    assert_eq!(
        (fake.record()["interrupted"].as_bool(), fake.record()["blocks"].as_u64()),
        (Some(false), Some(blocks(&fake) as u64))
    );
    assert!(blocks(&fake) < 8, "{}", blocks(&fake));
    // A ceiling, the two servers and the control: whole blocks.
    assert_eq!(fake.all_rows().len(), blocks(&fake) * 4);
    assert!(stdout.contains("not decided after "), "{stdout}");
    harness()
        .arg("--resume")
        .arg(fake.out())
        .assert()
        .code(2)
        .stderr(predicate::str::contains("is complete"));
}

#[test]
fn what_was_interrupted_goes_on_to_the_same_looks() {
    let fake = two();
    let mut run = until(&fake, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    eventually("a block is written", || fake.out().join("run.json").exists() && fake.all_rows().len() > 5);
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGINT).expect("ours");
    assert_eq!(run.wait().expect("ours").code(), Some(130));
    let before = fake.record();
    assert_eq!(before["until"]["looks"].as_array().map(Vec::len), Some(0));
    assert!(before["until"]["spent_s"].as_f64().is_some_and(|spent| spent > 0.0));
    harness().arg("--resume").arg(fake.out()).assert().stdout(predicate::str::contains("decided after "));
    let after = fake.record();
    assert_eq!(after["until"]["looks"], decided_at_once());
    assert!(after["until"]["spent_s"].as_f64() > before["until"]["spent_s"].as_f64());
    // Each block has its rows once, in the order that the seed gives.
    let places: Vec<(usize, usize)> = fake
        .all_rows()
        .iter()
        .filter(|row| row.attempt == 1)
        .map(|row| (row.block, row.order_index))
        .collect();
    assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
}
