//! A run in parts, each with its share of the blocks, and joined again.

use crate::common::{Fake, harness, two};
use harness::record::directory::{HISTOGRAMS, histograms_name, read_cells};
use harness::record::row::Row;
use predicates::prelude::*;
use std::path::PathBuf;

const LOAD: [&str; 10] = [
    "--strategy",
    "sequential",
    "--route",
    "wait?ms=1,wait?ms=2",
    "--requests",
    "3",
    "--processes",
    "1",
    "--blocks",
    "5",
];

fn path(fake: &Fake, name: &str) -> PathBuf {
    fake.folder.path().join(name)
}

/// Runs both servers of the manifest into the directory `name`.
fn run(fake: &Fake, name: &str, more: &[&str]) {
    let mut command = harness();
    command.args(["--server", "one,two", "--quiet", "--manifest"]).arg(fake.manifest());
    command.args(LOAD).args(more).arg("--out").arg(path(fake, name)).assert().success();
}

fn merge(fake: &Fake, parts: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = harness();
    command.arg("merge").args(parts.iter().map(|part| path(fake, part)));
    command.arg("--out").arg(path(fake, "joined")).assert()
}

/// What a row is about and where it stands.
fn place(row: &Row) -> (usize, usize, usize, String, String, u64) {
    let (server, workload) = (row.server.clone(), row.workload_id.clone());
    (row.block, row.attempt, row.order_index, server, workload, row.seed)
}

#[test]
fn the_parts_of_a_run_join_to_the_rows_of_a_single_one() {
    let fake = two();
    run(&fake, "whole", &["--seed", "7"]);
    run(&fake, "first", &["--seed", "7", "--blocks-of", "1/2"]);
    run(&fake, "second", &["--seed", "7", "--blocks-of", "2/2"]);
    merge(&fake, &["second", "first"]).success().stdout(predicate::str::contains("joined/cells.csv"));
    let (whole, joined) = (path(&fake, "whole"), path(&fake, "joined"));
    let rows = |path: &PathBuf| read_cells(path).expect("a valid cells.csv");
    let places = |rows: &[Row]| rows.iter().map(place).collect::<Vec<_>>();
    let (of_whole, of_joined) = (rows(&whole), rows(&joined));
    assert_eq!(places(&of_joined), places(&of_whole));
    assert!(of_joined.iter().all(|row| row.run_id == "joined" && row.ok == Some(3)), "{of_joined:?}");
    for row in &of_joined {
        assert!(joined.join(HISTOGRAMS).join(histograms_name(row)).exists(), "{row:?}");
    }
    // Every table and the page, and they can be made anew.
    for file in ["summary.csv", "pairs.csv", "report.html", "datapackage.json"] {
        assert!(joined.join(file).exists(), "{file}");
    }
    harness().args(["report", "--rewrite", "--quiet"]).arg(&joined).assert().success();
    harness().arg("--resume").arg(&joined).assert().code(2).stderr(predicate::str::contains("is complete"));
    let text = std::fs::read_to_string(joined.join("run.json")).expect("there");
    let run: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let parts: Vec<&str> =
        run["parts"].as_array().expect("parts").iter().filter_map(|part| part["run_id"].as_str()).collect();
    assert_eq!((parts, &run["blocks"]), (vec!["first", "second"], &serde_json::json!(5)));
}

#[test]
fn what_is_not_all_of_one_run_is_refused_in_a_line() {
    let fake = two();
    run(&fake, "whole", &["--seed", "7"]);
    run(&fake, "first", &["--seed", "7", "--blocks-of", "1/2"]);
    run(&fake, "again", &["--seed", "7", "--blocks-of", "1/2"]);
    run(&fake, "other", &["--seed", "8", "--blocks-of", "2/2"]);
    run(&fake, "longer", &["--seed", "7", "--blocks-of", "2/2", "--timeout", "9s"]);
    for (parts, said) in [
        (vec!["first"], "the part 2/2 is missing"),
        (vec!["first", "again"], "are the same part, 1/2"),
        (vec!["first", "other"], "they differ in the seed"),
        (vec!["first", "longer"], "they differ in the options"),
        (vec!["first", "whole"], "is no part of a run"),
    ] {
        let told = merge(&fake, &parts).code(2).stderr(predicate::str::contains(said));
        let stderr = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!path(&fake, "joined").exists());
    }
    // As of a run that was killed.
    let file = path(&fake, "first").join("run.json");
    let text = std::fs::read_to_string(&file).expect("there");
    let mut run: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    run["ended_at"] = serde_json::Value::Null;
    std::fs::write(&file, run.to_string()).expect("written");
    merge(&fake, &["first", "other"]).code(2).stderr(predicate::str::contains("continue it with --resume"));
}
