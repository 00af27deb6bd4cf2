//! Mistakes at the keyboard: one line, exit code 2, and nothing is started or written.

use crate::common::{Fake, harness};
use predicates::prelude::*;

/// Exit code 2 and one line on stderr that contains `said`.
fn refused(arguments: &[&str], said: &str) {
    let output = harness().args(arguments).output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn wrong_names_are_answered_with_the_nearest_right_ones() {
    refused(&["--server", "nosuch"], "unknown server 'nosuch'");
    refused(&["--server", "smoll"], "did you mean smol ");
    refused(&["--strategy", "thread_pool"], "did you mean thread-pool?");
    refused(&["--experiment", "sed"], "did you mean seed?");
    refused(&["--route", "nosuch"], "no such path");
    refused(&["serve", "--server", "tokio"], "did you mean tokio-multi or ");
    refused(&["verify", "--server", "nosuch"], "unknown server 'nosuch'");
}

#[test]
fn absurd_numbers_and_flags_without_effect_are_refused() {
    refused(&["--server", "smol", "--requests", "0"], "requests 0");
    refused(&["--server", "smol", "--blocks", "0"], "--blocks 0");
    refused(&["--server", "smol", "--strategy", "sequential", "--concurrency", "3"], "no effect");
    refused(&["--url", "http://127.0.0.1:1/", "--server", "smol"], "no effect with --url");
    refused(&["--server", "smol", "--interfere", "fib/99@1"], "0 to 45");
    refused(&["--server", "smol", "--timeout", "5"], "500ms, 30s or 2m");
    refused(
        &["--until", "decided", "--blocks", "12"],
        "'--until <UNTIL>' cannot be used with '--blocks <N>'",
    );
    refused(&["--at-most", "10m"], "no effect without --until");
    refused(&["--until", "decided", "--at-most", "10"], "500ms, 30s or 2m");
    refused(&["--server", "smol", "--blocks-of", "1/2"], "give --seed too");
    refused(&["--server", "smol", "--blocks-of", "9/8", "--seed", "1"], "as in 3/8");
    refused(
        &["--server", "smol", "--blocks", "3", "--blocks-of", "1/4", "--seed", "1"],
        "of 3 blocks a part would have none",
    );
    refused(&["--url", "http://127.0.0.1:1/", "--blocks-of", "1/2", "--seed", "1"], "no effect with --url");
    refused(&["--until", "tired"], "possible values: decided");
    refused(&["--until", "decided", "--server", "smol"], "give two servers or more");
    refused(&["--url", "http://127.0.0.1:1/", "--until", "decided"], "no effect with --url");
    refused(&["--sever", "smol"], "a similar argument exists: '--server'");
}

#[test]
fn a_url_must_be_http() {
    refused(&["--url", "https://127.0.0.1/"], "only http");
    refused(&["--url", "127.0.0.1:8000"], "http://host:port/path");
    refused(&["verify", "--url", "ftp://127.0.0.1/"], "only http");
    refused(&["verify", "--url", "http://127.0.0.1:1/wait"], "has no effect");
}

#[test]
fn a_url_of_another_machine_is_not_loaded_by_accident() {
    // Nobody has this address, which is for documents.
    refused(&["--url", "http://192.0.2.1:8000/"], "add --yes-it-is-mine");
    refused(&["verify", "--url", "http://192.0.2.1:8000/"], "add --yes-it-is-mine");
    refused(&["--yes-it-is-mine", "--server", "smol"], "--url");
    let mut command = harness();
    command.args(["--url", "http://192.0.2.1:8000/", "--yes-it-is-mine", "--timeout", "100ms", "--out"]);
    let folder = tempfile::tempdir().expect("a folder");
    // It is asked, and nobody answers.
    command
        .arg(folder.path().join("out"))
        .assert()
        .code(4)
        .stderr(predicate::str::contains("cannot be measured"));
}

#[test]
fn a_results_directory_is_never_overwritten() {
    let fake = Fake::new(&[]);
    std::fs::create_dir(fake.out()).expect("made");
    std::fs::write(fake.out().join("cells.csv"), "precious").expect("written");
    fake.run(&[]).assert().code(2).stderr(predicate::str::contains("exists already"));
    let kept = std::fs::read_to_string(fake.out().join("cells.csv")).expect("still there");
    assert_eq!(kept, "precious");
}

#[test]
fn more_connections_than_files_are_refused_before_anything_starts() {
    let script = "ulimit -n 200 && exec \"$0\" --server smol --strategy async --requests 1000";
    let program = harness();
    assert_cmd::Command::new("sh")
        .args(["-c", script])
        .arg(program.get_program())
        .assert()
        .code(2)
        .stderr(predicate::str::contains("1000 connections need 1064 open files, and the limit is 200"));
}

#[test]
fn a_manifest_given_in_vain_is_refused() {
    let fake = Fake::new(&[]);
    let manifest = fake.manifest();
    let manifest = manifest.to_str().expect("UTF-8");
    refused(&["--manifest", manifest, "--server", "smol"], "--manifest has no effect");
}

#[test]
fn a_wrong_manifest_is_refused() {
    let fake = Fake::with("protocol = \"contract\"\ncolour = \"red\"", &[]);
    fake.run(&[]).assert().code(2).stderr(predicate::str::contains("unknown field `colour`"));
    assert!(!fake.out().exists());
}
