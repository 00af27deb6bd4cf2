//! `harness count`, as its users run it. What needs valgrind is ignored, and asked for by scripts/test_integration.sh.

use crate::common::{built, harness};
use assert_cmd::Command;
use harness::record::counts::{COUNTS_BY_CRATE, CountRow, read_counts};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::iter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// A folder with a manifest, and a place for results.
struct Lab {
    folder: TempDir,
}

impl Lab {
    /// The servers of this manifest; `{program}` is that of a package of the workspace.
    fn new(package: &str, manifest: &str) -> Lab {
        let folder = tempfile::tempdir().expect("a folder");
        let program = built(package);
        let text = manifest.replace("{program}", program.to_str().expect("UTF-8"));
        fs::write(folder.path().join("runtime.toml"), text).expect("written");
        Lab { folder }
    }

    /// The oracle, and the same with 5000 more instructions a request.
    fn oracle() -> Lab {
        let servers = "[[server]]\nname = \"before\"\nhas = [\"plaintext\"]\n\
                       [[server]]\nname = \"after\"\nhas = [\"plaintext\"]\nargs = [\"--instructions\", \"5000\"]\n";
        Lab::new("rt-oracle", &format!("command = [\"{{program}}\"]\nprotocol = \"contract\"\n{servers}"))
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn count(&self, out: &str, arguments: &[&str]) -> Command {
        let mut command = harness();
        // A busy machine is slow under valgrind.
        command.timeout(Duration::from_secs(600)).arg("count").args(arguments);
        command.args(["--route", "plaintext", "--manifest"]).arg(self.out("runtime.toml"));
        command.arg("--out").arg(self.out(out));
        command
    }
}

/// The instructions by crate of a server over four connections.
fn by_crate(directory: &Path, server: &str) -> BTreeMap<String, f64> {
    let text = fs::read_to_string(directory.join(COUNTS_BY_CRATE)).expect("there");
    let fields = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let of = fields.filter(|fields| fields[1] == server && fields[4] == "4");
    of.map(|fields| (fields[5].to_owned(), fields[6].parse().expect("a number"))).collect()
}

fn of<'a>(rows: &'a [CountRow], server: &str) -> &'a CountRow {
    rows.iter().find(|row| row.server == server).expect("a row")
}

#[test]
#[ignore = "needs valgrind"]
fn a_server_that_never_starts_in_valgrind_is_waited_for_half_a_minute() {
    let script = "case $LD_PRELOAD in *vgpreload*) exec sleep 600 ;; esac; exec {program} --addr $0";
    let manifest = format!(
        "command = [\"sh\", \"-c\", \"{script}\", \"{{addr}}\"]\n[[server]]\nname = \"foreign\"\nhas = [\"plaintext\"]\n"
    );
    let lab = Lab::new("rt-ceiling", &manifest);
    let mut command = lab.count("out", &["--server", "foreign", "--connections", "1", "--repeats", "1"]);
    command.timeout(Duration::from_secs(120)).assert().code(4);
    let rows = read_counts(&lab.out("out")).expect("readable");
    assert!(
        rows[0].error.starts_with("under valgrind: the server was not ready within 30 s"),
        "{}",
        rows[0].error
    );
}

#[test]
#[ignore = "needs valgrind"]
fn stackful_threaded_async_and_foreign_servers_are_counted() {
    let manifest = "command = [\"{program}\", \"--addr\", \"{addr}\"]\n[[server]]\nname = \"foreign\"\nhas = [\"plaintext\"]\n";
    let lab = Lab::new("rt-ceiling", manifest);
    let servers = "may,may-minihttp,threads,tokio-multi,tokio-current,smol,async-std,ceiling,foreign";
    lab.count("out", &["--server", servers, "--connections", "4,1,4", "--repeats", "1"]).assert().success();
    let rows = read_counts(&lab.out("out")).expect("readable");
    // Once for each number of connections, the smaller first.
    let connections: Vec<usize> = rows.iter().map(|row| row.connections).collect();
    assert_eq!(connections, [1, 4].repeat(9));
    for row in rows.iter().filter(|row| row.connections == 4) {
        assert!(row.instructions_per_request.is_some_and(|n| n > 100.0), "{row:?}");
        assert!(row.syscalls_per_request.is_some_and(|n| n > 0.2), "{row:?}");
        let sum: f64 = by_crate(&lab.out("out"), &row.server).values().sum();
        assert!(
            (sum / row.instructions_per_request.unwrap_or_default() - 1.0).abs() < 0.01,
            "{row:?}: {sum}"
        );
    }
    for (server, of_its_own) in
        [("may", "may"), ("tokio-multi", "tokio"), ("smol", "async-io"), ("threads", "ours")]
    {
        let crates = by_crate(&lab.out("out"), server);
        assert!(crates.get(of_its_own).is_some_and(|n| *n > 10.0), "{server}: {crates:?}");
    }
    let allocations = |server| of(&rows, server).allocations_per_request.expect("counted");
    assert!(allocations("ceiling").abs() < 0.01 && allocations("tokio-multi") >= 1.0);
    // The same program, behind the guard of a foreign one.
    let instructions = |server| of(&rows, server).instructions_per_request.expect("counted");
    assert!((instructions("foreign") / instructions("ceiling") - 1.0).abs() < 0.1, "{rows:?}");
}

#[test]
#[ignore = "needs valgrind"]
fn a_few_per_cent_more_instructions_fail_a_comparison() {
    let lab = Lab::oracle();
    let connections = ["--connections", "1"];
    lab.count("out", &[&["--server", "before,after"][..], &connections].concat()).assert().success();
    lab.count("again", &[&["--server", "before"][..], &connections].concat()).assert().success();
    let compare = |a: String, b: String| {
        let mut command = harness();
        command.args(["compare", &a, &b, "--fail-on", "instructions>+1%"]);
        command.output().expect("it ends").status.code()
    };
    let side = |out: &str, server: &str| format!("{}:{server}", lab.out(out).display());
    assert_eq!(compare(side("out", "before"), side("again", "before")), Some(0));
    assert_eq!(compare(side("out", "before"), side("out", "after")), Some(1));
    assert_eq!(compare(side("out", "after"), side("out", "before")), Some(0));
    // Counted and timed figures are not compared.
    assert_eq!(compare(side("out", "before"), lab.out("nothing").display().to_string()), Some(2));
}

#[test]
#[ignore = "needs valgrind"]
fn the_functions_of_a_difference_are_named() {
    let lab = Lab::oracle();
    let arguments = ["--connections", "1", "--repeats", "1", "--explain", "before", "after"];
    let output = lab.count("out", &arguments).output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    // The loop is inlined into where requests arrive.
    let line = text.lines().find(|line| line.contains("oracle::Oracle")).unwrap_or_else(|| panic!("{text}"));
    let more: f64 = line.split_whitespace().nth(2).and_then(|n| n.parse().ok()).expect("a difference");
    assert!((more - 5000.0).abs() < 25.0, "{text}");
}

#[test]
#[ignore = "needs valgrind and strace"]
fn strace_counts_system_calls_where_perf_does_not() {
    let lab = Lab::oracle();
    let tools = lab.out("tools");
    fs::create_dir(&tools).expect("new");
    let perf = tools.join("perf");
    fs::write(&perf, "#!/bin/sh\nexit 1\n").expect("written");
    fs::set_permissions(&perf, Permissions::from_mode(0o755)).expect("ours");
    let path = std::env::var_os("PATH").expect("a PATH");
    let path = std::env::join_paths(iter::once(tools).chain(std::env::split_paths(&path))).expect("a path");
    let mut command = lab.count("out", &["--server", "before", "--connections", "1", "--repeats", "1"]);
    command.env("PATH", &path).assert().success();
    let rows = read_counts(&lab.out("out")).expect("readable");
    assert_eq!(rows[0].syscalls_by, "strace");
    // It waits, reads and writes, and its clock is no system call.
    assert!(rows[0].syscalls_per_request.is_some_and(|n| (2.9..3.5).contains(&n)), "{rows:?}");
}

#[test]
#[ignore = "needs valgrind"]
fn known_instructions_are_found() {
    built("rt-oracle");
    let mut command = harness();
    command.timeout(Duration::from_secs(300)).args(["selftest", "--only", "K13"]);
    command.assert().success().stderr(predicates::str::contains("1 of 1 figures as expected"));
}

/// A search path without any instrument: that of cargo, with which servers are built.
fn without_instruments(command: &mut Command) -> &mut Command {
    command.env("PATH", Path::new(env!("CARGO")).parent().expect("a folder")).env("CARGO", env!("CARGO"))
}

#[test]
fn what_is_not_installed_is_named_in_one_line() {
    let lab = Lab::oracle();
    let output =
        without_instruments(&mut lab.count("out", &["--server", "before"])).output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert_eq!(
        stderr,
        "error: count needs valgrind and strace: install them, as in apt-get install valgrind strace\n"
    );
    assert!(!lab.out("out").exists());
}

#[test]
fn a_selftest_without_valgrind_does_not_ask_for_instructions() {
    built("rt-oracle");
    let mut command = harness();
    without_instruments(command.args(["selftest", "--only", "K13"]))
        .assert()
        .success()
        .stderr(predicates::str::contains("not asked: valgrind is not installed"));
}
