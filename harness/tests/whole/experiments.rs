//! Experiments of one's own: factors, several loads, phases, a search, declared routes.

use crate::common::{CEILING, Fake, fake_server, harness};
use harness::record::row::Row;
use harness::record::rows::counting;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Two factors, two measured loads, one in the background, and two measured phases.
const OWN: &str = "
question = 'What does a probe notice?'
blocks = 2
compare = { factor = 'k', baseline = 0 }
figures = ['probe.response_p50_us']
[factors]
k = [0, 1]
rate = [100, 200]
[[load]]
name = 'probe'
strategy = 'open-loop'
route = 'wait?ms=1'
rate = '{rate}'
[[load]]
name = 'beside'
strategy = 'closed-loop'
route = 'plaintext'
concurrency = 1
[[load]]
name = 'computing'
background = true
strategy = 'closed-loop'
route = 'wait?ms=2'
concurrency = '{k}'
[[phase]]
duration_s = 0.1
measured = false
[[phase]]
name = 'before'
duration_s = 0.2
[[phase]]
name = 'burst'
duration_s = 0.2
scale = 3
";

/// A search, and a load at half of what it finds.
const SEARCH: &str = "
question = 'What is half of it?'
blocks = 2
[search]
over = 'rate'
keep = 'response_p50_us < 900000'
from = 100
to = 200
precision = 0.1
trials = 3
[[search.load]]
strategy = 'open-loop'
route = 'plaintext'
warmup_s = 0
duration_s = 0.2
[[load]]
strategy = 'open-loop'
route = 'plaintext'
rate = '0.5 * knee'
warmup_s = 0
duration_s = 0.2
";

/// Writes the experiment beside the manifest, which is outside of the repository.
fn written(fake: &Fake, text: &str) -> String {
    let path = fake.folder.path().join("mine.toml");
    fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn count_by<K: Ord>(rows: &[Row], key: impl Fn(&Row) -> K) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        *counts.entry(key(row)).or_insert(0) += 1;
    }
    counts
}

#[test]
fn the_rows_of_an_experiment_of_one_s_own_are_grouped_by_two_columns() {
    let fake = Fake::new(&[]);
    let path = written(&fake, OWN);
    fake.run(&["--experiment", &path, "--quiet"]).assert().code(0);
    // Of a group that the host disturbed the last attempt.
    let rows = counting(&fake.rows());
    // 2 blocks x 4 workloads x 2 measured loads x 2 measured phases.
    assert_eq!(rows.len(), 32);
    let groups = count_by(&rows, |row| (row.workload_id.clone(), row.server.clone()));
    assert_eq!(groups.len(), 16);
    assert!(groups.values().all(|rows| *rows == 2), "{groups:?}");
    // The id says no less and no more than what is measured.
    let what = |row: &Row| {
        let level = |name: &str| row.factors.get(name).cloned();
        (row.load.clone(), row.phase.clone(), level("k"), level("rate"), row.workload_id.clone())
    };
    assert_eq!(rows.iter().map(what).collect::<BTreeSet<_>>().len(), 16);
    let header = fs::read_to_string(fake.out().join("cells.csv")).expect("there");
    assert!(header.lines().next().expect("a header").ends_with(",factor_k,factor_rate"), "{header}");

    for row in &rows {
        assert_eq!((row.error.as_str(), row.experiment.as_str()), ("", "mine"));
        let beside = if row.factors["k"] == "1" { " + wait?ms=2@1" } else { "" };
        let other = if row.load == "probe" {
            "plaintext@1"
        } else {
            row.interference.split(" + ").next().unwrap_or("")
        };
        assert_eq!(row.interference, format!("{other}{beside}"));
        if row.load == "probe" {
            let rate: f64 = row.factors["rate"].parse().expect("a number");
            let scale = if row.phase == "burst" { 3.0 } else { 1.0 };
            assert_eq!((row.offered_rps, row.phase_scale), (Some(rate * scale), Some(scale)));
            let due = rate * scale * 0.2;
            assert_eq!(row.scheduled, Some(due.round() as u64), "{}", row.workload);
        }
        // Several loads share the server: its CPU time is nobody's own.
        assert_eq!(row.server_cpu_us_per_request, None);
    }
    // Each level is compared with the baseline on the same server, load and phase.
    let mut pairs = csv::Reader::from_path(fake.out().join("pairs.csv")).expect("there");
    let pairs: Vec<BTreeMap<String, String>> = pairs.deserialize().collect::<Result<_, _>>().expect("rows");
    let levels: Vec<_> = pairs.iter().filter(|pair| pair["metric"] == "throughput_rps").collect();
    // A busy machine may leave none of two blocks that is ok.
    assert!(levels.len() <= 8, "{levels:?}");
    for pair in levels {
        assert_eq!((&pair["server"], &pair["against_workload_id"]), (&pair["against"], &pair["group_id"]));
        assert_ne!(pair["workload_id"], pair["against_workload_id"]);
    }
    harness().args(["report", "--figures"]).arg(fake.out()).assert().code(0);
}

#[test]
fn a_replicate_of_several_rows_is_whole_or_measured_again() {
    let fake = Fake::new(&[]);
    let path = written(&fake, OWN);
    fake.run(&["--experiment", &path, "--quiet", "--seed", "5"]).assert().code(0);
    // A disturbed group is run again, so that a run may have more replicates than another, but no parts of one.
    let replicates = |fake: &Fake| {
        let rows = fake.rows();
        let parts = count_by(&rows, |row| (row.block, row.order_index, row.server.clone()));
        assert!(parts.values().all(|rows| *rows == 4), "{parts:?}");
        count_by(&rows, |row| (row.block, row.workload_id.clone())).into_keys().collect::<Vec<_>>()
    };
    let expected = replicates(&fake);
    let whole = fs::read_to_string(fake.out().join("cells.csv")).expect("there");
    let last = whole.lines().count() - 4;
    assert!(fake.all_rows()[last - 1..].iter().all(|row| row.role == "contestant"));
    // All rows but those of the last replicate, of which one, two or three of the four are there.
    for part in 1..4 {
        let lines: Vec<&str> = whole.lines().take(last + part).collect();
        fake.cut((lines.join("\n") + "\n").as_bytes());
        harness().arg("--resume").arg(fake.out()).arg("--quiet").assert().code(0);
        assert_eq!(replicates(&fake), expected, "{part} of 4 rows");
    }
}

#[test]
fn a_search_goes_before_what_uses_its_knee_and_its_trials_are_rows() {
    let fake = Fake::new(&[]);
    let path = written(&fake, SEARCH);
    fake.run(&["--experiment", &path, "--quiet"]).assert().code(0);
    let rows = fake.rows();
    let trials: Vec<&Row> = rows.iter().filter(|row| row.search_passed.is_some()).collect();
    let measured = counting(&rows);
    let rates: Vec<Option<f64>> = trials.iter().map(|row| row.offered_rps).collect();
    // Two of three decide, first at the lowest rate and then at the highest.
    assert!(rates.starts_with(&[Some(100.0), Some(100.0)]), "{rates:?}");
    assert!(trials.iter().all(|row| row.block == 0));
    assert_eq!(measured.len(), 2);
    let knee = measured[0].knee_rps.expect("one was found");
    assert!((100.0..=200.0).contains(&knee), "{knee}");
    assert!(measured.iter().all(|row| row.knee_rps == Some(knee) && row.offered_rps == Some(knee / 2.0)));
    // Trials are nobody's cells.
    let mut summary = csv::Reader::from_path(fake.out().join("summary.csv")).expect("there");
    let cells: Vec<BTreeMap<String, String>> = summary.deserialize().collect::<Result<_, _>>().expect("rows");
    assert_eq!(cells.iter().filter(|cell| cell["role"] == "contestant").count(), 1);
}

#[test]
fn a_server_without_a_knee_is_left_out_and_that_is_said() {
    let fake = Fake::new(&[]);
    let path = written(&fake, &SEARCH.replace("900000", "0.001"));
    // Nothing is left to measure: that is a failure.
    let out = fake.run(&["--experiment", &path, "--quiet"]).assert().code(4).get_output().clone();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("note: fake is left out of 1 workload: its search found no rate"), "{said}");
    assert!(fake.rows().iter().all(|row| row.search_passed == Some(false)));
}

#[test]
fn a_server_in_two_versions_is_compared_on_routes_of_its_own() {
    let fake = Fake::new(&[]);
    let program = fake_server();
    let manifest = |name: &str, ceiling: &str| {
        format!(
            "command = [{program:?}]\nprotocol = \"contract\"\n{ceiling}[[server]]\nname = {name:?}\n\
             [[route]]\nname = \"orders\"\npath = \"/wait?ms=1\"\nbody_is = '{{\"duration\":0.001}}'\n\
             [[route]]\nname = \"stock\"\npath = \"/plaintext\"\nprobe = true\n"
        )
    };
    let second = fake.folder.path().join("second.toml");
    fs::write(fake.manifest(), manifest("before", CEILING)).expect("written");
    fs::write(&second, manifest("after", "")).expect("written");
    let mut run = harness();
    run.args(["--server", "before,after", "--route", "orders,stock", "--strategy", "async"]);
    run.args(["--requests", "5", "--blocks", "1", "--processes", "1", "--quiet"]);
    for path in [&fake.manifest(), &second] {
        run.arg("--manifest").arg(path);
    }
    let output = run.arg("--out").arg(fake.out()).output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let rows = counting(&fake.rows());
    assert_eq!(rows.len(), 4, "{stderr}");
    assert!(rows.iter().all(|row| row.error.is_empty() && row.ok == Some(5)), "{stderr}");
    let routes = count_by(&rows, |row| row.route.clone());
    assert_eq!(routes.keys().collect::<Vec<_>>(), ["orders", "stock"]);
    let ids = count_by(&rows, |row| row.workload_id.clone());
    assert_eq!(ids.len(), 2, "{ids:?}");
}
