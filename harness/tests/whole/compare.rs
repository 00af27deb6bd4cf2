//! `harness compare` on runs made by hand, whose truth is known, and on the committed one.

use crate::common::{fake_server, harness};
use harness::record::directory::Directory;
use harness::record::row::Row;
use predicates::prelude::*;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder for runs.
struct Runs(TempDir);

/// A figure of a block: the block moves every server by up to 20%, and each server by up to 1% of its own.
fn figure(server: &str, block: usize, level: f64) -> f64 {
    let shared = 1.0 + 0.05 * (block * 7 % 5) as f64;
    let mut hasher = DefaultHasher::new();
    (server, block).hash(&mut hasher);
    let own = (hasher.finish() % 1000) as f64 / 1000.0;
    level * shared * (1.0 + 0.01 * (own - 0.5))
}

fn closed(server: &str, block: usize, level: f64) -> Row {
    Row {
        schema_version: 2,
        block,
        attempt: 1,
        server: server.into(),
        processes: 1,
        route: "/plaintext".into(),
        strategy: "closed-loop".into(),
        loop_kind: "closed".into(),
        concurrency: 64,
        placement: "split".into(),
        throughput_rps: Some(figure(server, block, 10_000.0 / level)),
        service_p99_us: Some(figure(server, block, 900.0 * level)),
        server_cpu_us_per_request: Some(figure(server, block, 20.0 * level)),
        verdict: "ok".into(),
        ..Row::default()
    }
}

fn open(server: &str, block: usize, level: f64) -> Row {
    Row {
        strategy: "open-loop".into(),
        loop_kind: "open".into(),
        arrival: "constant".into(),
        offered_rps: Some(500.0),
        service_p99_us: None,
        response_p50_us: Some(figure(server, block, 400.0 * level)),
        response_p99_us: Some(figure(server, block, 900.0 * level)),
        ..closed(server, block, level)
    }
}

impl Runs {
    fn new() -> Runs {
        Runs(tempfile::tempdir().expect("a folder"))
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A run with these rows.
    fn write(&self, name: &str, rows: &[Row]) -> PathBuf {
        let path = self.dir(name);
        let mut directory = Directory::create(&path, &[]).expect("new");
        directory.append(rows).expect("written");
        path
    }

    /// A run of servers, each `level` times as slow as the first.
    fn of(&self, name: &str, servers: &[(&str, f64)], blocks: usize) -> PathBuf {
        let rows: Vec<Row> = (1..=blocks)
            .flat_map(|block| servers.iter().map(move |(server, level)| closed(server, block, *level)))
            .collect();
        self.write(name, &rows)
    }
}

fn server(run: &Path, server: &str) -> String {
    format!("{}:{server}", run.display())
}

/// Compares, and expects an exit code.
fn compare(arguments: &[&str], code: i32) -> assert_cmd::assert::Assert {
    harness().arg("compare").args(arguments).assert().code(code)
}

#[test]
fn five_percent_between_two_servers_of_a_run_are_found() {
    let runs = Runs::new();
    let run = runs.of("run", &[("old", 1.0), ("new", 1.05)], 12);
    let (a, b) = (server(&run, "old"), server(&run, "new"));
    compare(&[&a, &b, "--metric", "throughput,cpu,p99"], 0)
        .stdout(predicate::str::contains(
            "1 cell that both have; 12 blocks in A, 12 in B; 24 of 24 rows used",
        ))
        .stdout(predicate::str::is_match("throughput_rps .* 0.95.* slower").expect("a pattern"))
        .stdout(predicate::str::is_match("server_cpu_us_per_request .* 1.05.* higher").expect("a pattern"))
        .stdout(predicate::str::is_match("service_p99_us .* 1.05.* slower").expect("a pattern"))
        .stdout(predicate::str::contains("not interleaved").not());
}

#[test]
fn a_server_against_itself_is_equivalent() {
    let runs = Runs::new();
    let one = runs.of("one", &[("s", 1.0), ("t", 1.0)], 12);
    let two = runs.of("two", &[("s", 1.0), ("t", 1.002)], 12);
    let (one, two) = (one.display().to_string(), two.display().to_string());
    compare(&[&one, &two, "--fail-on", "throughput<-5%", "--fail-on", "p99>+5%"], 0)
        .stdout(predicate::str::contains("two runs were not interleaved"))
        .stdout(predicate::str::contains("equivalent"))
        .stdout(predicate::str::contains("s, /plaintext, closed-loop, 64 connections"))
        .stdout(predicate::str::contains("KEPT         p99>+5%: in each of 2 cells"))
        .stdout(predicate::str::contains("faster").or(predicate::str::contains("slower")).not());
}

#[test]
fn the_exit_code_says_whether_a_bound_is_broken() {
    let runs = Runs::new();
    let servers = [("old", 1.0), ("worse", 1.2), ("better", 0.8), ("near", 1.0499)];
    let run = runs.of("run", &servers, 12);
    let few = runs.of("few", &servers, 3);
    let old = server(&run, "old");
    let check = |a: &str, b: &str, bounds: &[&str], code: i32| {
        let mut arguments = vec![a, b];
        bounds.iter().for_each(|bound| arguments.extend(["--fail-on", *bound]));
        compare(&arguments, code)
    };
    check(&old, &server(&run, "worse"), &["p99>+5%"], 1).stdout(predicate::str::contains("FAILED "));
    check(&old, &server(&run, "better"), &["p99>+5%"], 0);
    check(&old, &server(&run, "near"), &["p99>+5%"], 3).stdout(predicate::str::contains("CANNOT TELL"));
    // Three blocks tell nothing, however large the difference; nor does a figure that no row has.
    check(&server(&few, "old"), &server(&few, "worse"), &["p99>+5%"], 3);
    check(&old, &server(&run, "worse"), &["memory>+5%"], 3)
        .stdout(predicate::str::contains("no cell has memory"));
    // The worst of several: broken, then unknown, then kept.
    check(&old, &server(&run, "worse"), &["memory>+5%", "throughput<-5%", "cpu>+50%"], 1);
    check(&old, &server(&run, "better"), &["memory>+5%", "cpu>+5%"], 3);
    check(&old, &server(&run, "better"), &["throughput<-5%", "cpu>+5%"], 0);
}

#[test]
fn open_loops_are_compared_by_response_times() {
    let runs = Runs::new();
    let rows: Vec<Row> =
        (1..=12).flat_map(|block| [open("old", block, 1.0), open("new", block, 1.2)]).collect();
    let run = runs.write("run", &rows);
    compare(&[&server(&run, "old"), &server(&run, "new"), "--fail-on", "p99>+10%"], 1)
        .stdout(predicate::str::contains("response_p50_us"))
        .stdout(predicate::str::contains("response_p99_us on /plaintext, open-loop, 500/s constant"))
        .stdout(predicate::str::contains("throughput_rps").not());
}

#[test]
fn rows_that_are_not_ok_and_attempts_that_were_replaced_are_not_used() {
    let runs = Runs::new();
    let mut rows: Vec<Row> =
        (1..=12).flat_map(|block| [closed("old", block, 1.0), closed("new", block, 1.0)]).collect();
    rows[0].verdict = "late_generator".into();
    rows[3].error = "died".into();
    // A first attempt, five times as slow: the second one counts.
    rows.extend(["old", "new"].map(|server| Row { attempt: 0, ..closed(server, 5, 5.0) }));
    let run = runs.write("run", &rows);
    compare(&[&server(&run, "old"), &server(&run, "new"), "--format", "csv"], 0)
        .stderr(predicate::str::contains("22 of 24 rows used, left out: 1 failed, 1 late_generator"))
        .stdout(predicate::str::starts_with("schema_version,run_id,"))
        .stdout(predicate::str::contains(",throughput_rps,").and(predicate::str::contains(",10,")));
}

#[test]
fn nothing_but_doubtful_rows_is_no_comparison() {
    let runs = Runs::new();
    let noisy = |row: Row| Row { verdict: "noisy_host".into(), ..row };
    let rows: Vec<Row> = (1..=12)
        .flat_map(|block| [noisy(closed("old", block, 1.0)), noisy(closed("new", block, 1.2))])
        .collect();
    let run = runs.write("run", &rows);
    compare(&[&server(&run, "old"), &server(&run, "new")], 3)
        .stdout(predicate::str::contains("0 of 24 rows used, left out: 24 noisy_host"))
        .stdout(predicate::str::contains("nothing to compare"));
}

#[test]
fn a_noisy_control_asks_for_more() {
    let runs = Runs::new();
    let run = runs.of("run", &[("old", 1.0), ("old.control", 1.08), ("new", 1.05)], 12);
    compare(&[&server(&run, "old"), &server(&run, "new"), "--metric", "cpu"], 0)
        .stdout(
            predicate::str::is_match(r"server_cpu_us_per_request [78]\.?\d?% \(1 A/A control\)")
                .expect("a pattern"),
        )
        .stdout(predicate::str::contains("equivalent"));
}

#[test]
fn what_cannot_be_compared_is_one_line() {
    let runs = Runs::new();
    let one = runs.of("one", &[("s", 1.0)], 3);
    let other = runs.write("other", &[open("s", 1, 1.0)]);
    let (one, other) = (one.display().to_string(), other.display().to_string());
    let named = |run: &str, server: &str| format!("{run}:{server}");
    for (arguments, said) in [
        (vec![one.as_str(), one.as_str()], "that is the same twice"),
        (vec![one.as_str(), &named(&other, "s")], "give both sides a server"),
        (vec![one.as_str(), other.as_str()], "nothing that both have: A is s on /plaintext, closed-loop"),
        (vec![&named(&one, "t"), &named(&other, "s")], "unknown server 't'"),
        (vec!["nowhere", one.as_str()], "cannot read nowhere/cells.csv"),
        (vec![one.as_str(), other.as_str(), "--metric", "p98"], "unknown metric 'p98'"),
        (vec![one.as_str(), other.as_str(), "--fail-on", "p98>+5%"], "unknown metric 'p98'"),
        (vec![one.as_str(), other.as_str(), "--fail-on", "p99>5"], "a percentage with its sign"),
    ] {
        let output = compare(&arguments, 2).get_output().clone();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(said) && stderr.trim_end().lines().count() == 1, "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_committed_run_can_be_compared_though_nobody_judged_it() {
    let root = harness::experiment::root::find().expect("a clone");
    let run = root.join("results/20261122T115236Z-vm-seed");
    compare(&[&server(&run, "smol"), &server(&run, "tokio-multi")], 0)
        .stdout(predicate::str::contains(
            "30 cells that both have; 5 blocks in A, 5 in B; 300 of 300 rows used",
        ))
        .stdout(predicate::str::contains("nobody judged"))
        .stdout(predicate::str::contains("60 of 60 comparisons have too few blocks"));
}

#[test]
fn a_report_of_a_run_ranks_its_servers() {
    let runs = Runs::new();
    let rows: Vec<Row> = (1..=12)
        .flat_map(|block| {
            let bound = Row { verdict: "client_bound".into(), ..closed("weak", block, 0.5) };
            let closed = [("a", 1.0), ("b", 1.0), ("slow", 1.3)].map(|(s, level)| closed(s, block, level));
            [closed.to_vec(), vec![bound, open("a", block, 1.0), open("slow", block, 1.3)]].concat()
        })
        .collect();
    let run = runs.write("run", &rows);
    let output = harness().arg("report").arg(&run).args(["--by", "work", "--format", "markdown"]).assert();
    let text = String::from_utf8(output.code(0).get_output().stdout.clone()).expect("UTF-8");
    let made = ["summary.csv", "pairs.csv", "datapackage.json", "report.html"].map(|name| run.join(name));
    assert!(made.iter().all(|path| !path.exists()), "a report leaves a run as it is");
    harness().arg("report").arg(&run).arg("--rewrite").assert().code(0);
    assert!(made.iter().all(|path| path.exists()));
    assert!(text.contains("**/plaintext, closed-loop, 64 connections**"), "{text}");
    let (open, closed) = text.split_once("**/plaintext, closed-loop").expect("two tables");
    assert!(open.contains("response p99") && open.contains("| 2    |"), "{text}");
    let line = |start: &str| closed.lines().find(|line| line.starts_with(start)).expect("a row").to_owned();
    assert!(line("| a ").contains("1–2") && line("| slow ").contains("| 3"), "{text}");
    assert!(line("| weak ").contains("client bound"), "{text}");
    assert!(
        text.contains("- weak, /plaintext, closed-loop, 64 connections: client_bound in 12 of 12 blocks")
    );
}

#[test]
fn two_builds_are_measured_in_one_run_and_compared() {
    // As docs/compare.md has it: a program kept from before, under a name of its own.
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("kept");
    std::fs::copy(fake_server(), &program).expect("copied");
    let servers =
        "[[server]]\nname = \"before\"\nhas = [\"*\"]\n[[server]]\nname = \"after\"\nhas = [\"*\"]\n";
    let manifest = format!("command = [\"{{dir}}/kept\"]\nprotocol = \"contract\"\n{servers}");
    std::fs::write(folder.path().join("runtime.toml"), manifest).expect("written");
    let out = folder.path().join("out");
    harness()
        .args([
            "--server",
            "before,after",
            "--route",
            "wait?ms=1",
            "--strategy",
            "sequential",
            "--requests",
            "5",
        ])
        .args(["--blocks", "2", "--processes", "1", "--manifest"])
        .arg(folder.path().join("runtime.toml"))
        .arg("--out")
        .arg(&out)
        .assert()
        .stdout(predicate::str::contains("report.html, summary.csv"));
    let pairs = std::fs::read_to_string(out.join("pairs.csv")).expect("there");
    let has = |words: [&str; 3]| pairs.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(has(["throughput_rps", ",after,before,", ",false,"]), "{pairs}");
    assert!(has(["throughput_rps", ".control,", ",true,"]), "{pairs}");
    let page = std::fs::read_to_string(out.join("report.html")).expect("there");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<svg"), "{page}");
    // Two blocks tell nothing.
    compare(&[&server(&out, "before"), &server(&out, "after"), "--fail-on", "throughput<-5%"], 3)
        .stdout(predicate::str::contains("too few blocks"));
}
