//! Servers that take turns in slices: their rows, their slices, and what a fault of one does to the others.

use crate::common::{CEILING, Fake, fake_server, harness, two};
use harness::record::row::Row;
use harness::record::slices::{self, AFTER_IDLING, CONTINUOUS, SLICE, SliceRow};
use std::collections::BTreeSet;
use std::fs;

const IN_TURNS: &str = "
question = 'Are they alike?'
blocks = 2
rounds = 4
[[load]]
strategy = 'closed-loop'
route = 'plaintext'
concurrency = 2
warmup_s = 0.005
duration_s = 0.02
";

/// A run of an experiment file.
fn run(fake: &Fake, servers: &str, text: &str) -> assert_cmd::assert::Assert {
    let path = fake.folder.path().join("mine.toml");
    fs::write(&path, text).expect("written");
    let mut command = harness();
    command.args(["--experiment", path.to_str().expect("UTF-8"), "--server", servers, "--seed", "3"]);
    command.arg("--manifest").arg(fake.manifest()).arg("--out").arg(fake.out());
    command.assert()
}

fn slices_of(fake: &Fake) -> Vec<SliceRow> {
    slices::read(&fake.out()).expect("a valid slices.csv")
}

#[test]
fn servers_that_take_turns_have_a_row_each_and_a_line_for_each_slice() {
    let fake = two();
    run(&fake, "one,two", IN_TURNS).code(0);
    let rows: Vec<Row> = fake.all_rows().into_iter().filter(|row| row.role != "ceiling").collect();
    assert_eq!(rows.len(), 2 * 3, "two servers and the control, in each block");
    let slices = slices_of(&fake);
    for row in &rows {
        let of_row = |kind: &str| -> Vec<&SliceRow> {
            let is_its = |s: &&SliceRow| (s.block, &s.server, &*s.kind) == (row.block, &row.server, kind);
            slices.iter().filter(is_its).collect()
        };
        let its = of_row(SLICE);
        assert_eq!(its.iter().map(|slice| slice.round).collect::<BTreeSet<_>>(), (1..=4).collect());
        assert_eq!(row.ok, Some(its.iter().map(|slice| slice.ok).sum()));
        assert_eq!((row.rounds, row.duration_s, row.warmup_s), (Some(4), Some(0.08), Some(0.005)));
        let seconds: f64 = its.iter().map(|slice| slice.seconds).sum();
        assert!((seconds - row.elapsed_s.expect("measured")).abs() < 1e-5, "{row:?}");
        // The CPU time of the row is that of its slices, and the other servers have none in them.
        let cpu: f64 = its.iter().filter_map(|slice| slice.server_cpu_us).sum();
        let per_request = row.server_cpu_us_per_request.expect("ours");
        assert!((cpu / row.ok.expect("counted") as f64 - per_request).abs() < 0.01, "{cpu} {per_request}");
        assert_eq!(of_row(CONTINUOUS).len(), 1);
        assert!(row.throughput_by_round_rps.is_some() && row.throughput_continuous_rps.is_some());
        assert!(row.server_idle_share.is_some() && row.meter_us.is_some());
        assert_eq!(row.error, "");
    }
    // Only one of them is asked at a time: no slice of a block begins before the one before it has ended, and each
    // round has all of them once.
    for block in 1..=2 {
        for round in 1..=4 {
            let is_its = |s: &&SliceRow| (s.block, s.round, &*s.kind) == (block, round, SLICE);
            let servers: BTreeSet<&str> = slices.iter().filter(is_its).map(|s| &*s.server).collect();
            assert_eq!((servers.len(), slices.iter().filter(is_its).count()), (3, 3));
        }
    }
    let summary = fs::read_to_string(fake.out().join("summary.csv")).expect("there");
    assert!(summary.lines().next().is_some_and(|header| header.ends_with(",note")));
}

#[test]
fn a_run_that_was_killed_within_a_group_is_continued_with_the_whole_group() {
    let fake = two();
    run(&fake, "one,two", IN_TURNS).code(0);
    let place = |row: &Row| (row.block, row.order_index, row.server.clone(), row.workload_id.clone());
    let expected: Vec<_> = fake.all_rows().iter().map(place).collect();
    let whole = fs::read_to_string(fake.out().join("cells.csv")).expect("there");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    // After the header, a block, its ceiling, and one of three rows of the group.
    fake.cut(lines[..1 + 4 + 2].concat().as_bytes());
    harness().arg("--resume").arg(fake.out()).assert().code(0);
    assert_eq!(fake.all_rows().iter().map(place).collect::<Vec<_>>(), expected);
    let of_block = |block: usize| slices_of(&fake).iter().filter(|slice| slice.block == block).count();
    assert_eq!(of_block(1), of_block(2), "the slices of rows that were cut off are gone");
}

#[test]
fn how_long_a_lead_in_is_needed_is_measured_where_nothing_is_said() {
    let fake = two();
    let text = IN_TURNS.replace("warmup_s = 0.005\n", "").replace("blocks = 2", "blocks = 1");
    run(&fake, "one", &text).code(0);
    let record = fake.record();
    let lead_ins = record["lead_ins_s"].as_object().expect("measured");
    assert_eq!(lead_ins.len(), 1);
    let lead_in = lead_ins.values().next().and_then(serde_json::Value::as_f64).expect("seconds");
    assert!([0.0, 0.02, 0.05, 0.1, 0.3].contains(&lead_in), "{lead_in}");
    let rows: Vec<Row> = fake.rows().into_iter().filter(|row| row.role == "contestant").collect();
    assert!(rows.iter().all(|row| row.warmup_s == Some(lead_in)), "{rows:?}");
    let windows = slices_of(&fake).into_iter().filter(|slice| slice.kind == AFTER_IDLING);
    assert_eq!(windows.map(|slice| (slice.round, slice.window)).collect::<BTreeSet<_>>().len(), 25);
}

#[test]
fn a_server_that_does_not_start_or_dies_in_its_turn_leaves_the_others_their_rows() {
    for (fault, said) in [("no-start", "did not start"), ("dies", "the server died")] {
        let fake = Fake::new(&[]);
        let program = fake_server();
        let servers = format!(
            "[[server]]\nname = \"good\"\nhas = [\"*\"]\n[[server]]\nname = \"bad\"\nhas = [\"*\"]\n\
             args = [\"--fault\", \"{fault}\"]\n"
        );
        let manifest = format!("command = [{program:?}]\nprotocol = \"contract\"\n{servers}{CEILING}");
        fs::write(fake.manifest(), manifest).expect("written");
        // It shows its fault on that route only.
        let text = IN_TURNS.replace("'plaintext'", "'wait?ms=7'").replace("blocks = 2", "blocks = 1");
        let code = run(&fake, "good,bad", &text).get_output().status.code();
        assert_eq!(code, Some(4), "{fault}");
        let rows = fake.all_rows();
        let bad: Vec<&Row> = rows.iter().filter(|row| row.server.starts_with("bad")).collect();
        assert!(!bad.is_empty() && bad.iter().all(|row| !row.error.is_empty()), "{fault}: {bad:?}");
        assert!(bad.iter().any(|row| row.error.contains(said)), "{fault}: {:?}", bad[0].error);
        let good = rows.iter().find(|row| row.server == "good").expect("a row");
        assert_eq!((good.error.as_str(), good.rounds), ("", Some(4)), "{fault}");
    }
}
