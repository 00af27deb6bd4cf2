//! The program alone, as `cargo install` leaves it: away from its checkout, in a folder with nothing in it.

use crate::common::fake_server;
use assert_cmd::Command;
use harness::experiment::root;
use harness::record::directory::read_cells;
use predicates::prelude::*;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;

/// A folder without a checkout around it, and a copy of the program there.
struct Installed {
    folder: TempDir,
}

impl Installed {
    fn new() -> Installed {
        let folder = tempfile::tempdir().expect("a folder");
        fs::copy(env!("CARGO_BIN_EXE_harness"), folder.path().join("harness")).expect("copied");
        Installed { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn harness(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path().join("harness"));
        command.current_dir(self.path()).env_remove("HARNESS_ROOT").args(arguments);
        command
    }

    /// A manifest of one server, which is no ceiling.
    fn manifest(&self) {
        let program = fake_server();
        let text = format!(
            "command = [{program:?}]\nprotocol = 'contract'\n[[server]]\nname = 'mine'\nhas = ['*']\n"
        );
        fs::write(self.path().join("runtime.toml"), text).expect("written");
    }

    /// The one run below `results/`.
    fn run(&self) -> PathBuf {
        let runs: Vec<_> = fs::read_dir(self.path().join("results")).expect("made").flatten().collect();
        assert_eq!(runs.len(), 1);
        runs[0].path()
    }
}

const SHORT: [&str; 8] =
    ["--route", "wait?ms=1", "--strategy", "sequential", "--requests", "5", "--blocks", "1"];

#[test]
fn without_a_checkout_one_line_says_what_to_do() {
    let installed = Installed::new();
    for arguments in [
        &[][..],
        &["--server", "smol"],
        &["verify"],
        &["serve", "--server", "smol"],
        &["count"],
        &["selftest"],
    ] {
        let output = installed.harness(arguments).output().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains("no checkout") && stderr.contains("--root DIR"), "{arguments:?}: {stderr}");
    }
    assert!(!installed.path().join("results").exists());
}

#[test]
fn the_experiments_and_the_tables_of_a_run_need_no_checkout() {
    let installed = Installed::new();
    let listed = installed.harness(&["list"]).assert().success();
    listed
        .stdout(predicate::str::contains("blocking-cliff").and(predicate::str::contains("async-std").not()));
    let run = root::find().expect("a clone").join("results/20261122T171002Z-vm-full");
    let run = run.to_str().expect("UTF-8");
    installed.harness(&["report", run]).assert().success().stdout(predicate::str::contains("smol"));
    let two = [format!("{run}:smol"), format!("{run}:threads")];
    installed.harness(&["compare", &two[0], &two[1]]).assert().success();
}

#[test]
fn a_root_lends_its_servers() {
    let installed = Installed::new();
    let root = root::find().expect("a clone");
    let root = root.to_str().expect("UTF-8");
    let names_a_server = predicate::str::contains("async-std");
    installed.harness(&["list", "--root", root]).assert().success().stdout(names_a_server.clone());
    installed.harness(&["list"]).env("HARNESS_ROOT", root).assert().success().stdout(names_a_server);
    let wrong = installed.harness(&["list", "--root", "."]).assert().code(2);
    wrong.stderr(predicate::str::contains("this is no checkout of the project"));
}

#[test]
fn a_server_of_one_s_own_is_measured_without_ceilings_and_its_results_lie_in_the_working_directory() {
    let installed = Installed::new();
    installed.manifest();
    let mut command = installed.harness(&["--manifest", "runtime.toml"]);
    let told = command.args(SHORT).assert().success();
    told.stderr(predicate::str::contains("no client ceilings").count(1));
    let rows = read_cells(&installed.run()).expect("valid");
    assert!(rows.iter().all(|row| row.server == "mine" && row.error.is_empty()));
    installed.harness(&["verify", "--manifest", "runtime.toml"]).assert().success();
}

#[test]
fn a_running_server_is_measured() {
    let installed = Installed::new();
    installed.manifest();
    let mut serving = std::process::Command::new(installed.path().join("harness"))
        .args(["serve", "--server", "mine", "--manifest", "runtime.toml"])
        .current_dir(installed.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(serving.stdout.take().expect("piped")).read_line(&mut line).expect("ready");
    let ready: serde_json::Value = serde_json::from_str(&line).expect("a ready line");
    let url = format!("http://{}/wait?ms=1", ready["addr"].as_str().expect("an address"));
    let run = installed.harness(&["--url", &url]).args(&SHORT[2..]).assert();
    serving.kill().expect("ours");
    serving.wait().expect("ours");
    run.success().stderr(predicate::str::contains("no client ceilings"));
    assert_eq!(read_cells(&installed.run()).expect("valid").len(), 1);
}

#[test]
fn completions_and_manual_pages_are_written() {
    let installed = Installed::new();
    for shell in ["bash", "zsh", "fish"] {
        let completions = installed.harness(&["completions", shell]).assert().success();
        completions
            .stdout(predicate::str::contains("--experiment").or(predicate::str::contains("-l experiment")));
    }
    let bash = installed.harness(&["completions", "bash"]).output().expect("it ends").stdout;
    fs::write(installed.path().join("completions"), bash).expect("written");
    Command::new("bash").arg("-n").arg(installed.path().join("completions")).assert().success();
    installed.harness(&["man"]).assert().success().stdout(predicate::str::contains(".TH harness 1"));
    installed.harness(&["man", "pages"]).assert().success();
    for page in ["harness.1", "harness-run.1", "harness-compare.1"] {
        assert!(installed.path().join("pages").join(page).is_file(), "{page}");
    }
}
