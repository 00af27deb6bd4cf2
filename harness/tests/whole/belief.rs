//! Whether a row is to be believed: placement, attestation, the figures beside the load, and verdicts.

use crate::common::Fake;
use harness::host::cpus::Cpus;
use harness::record::row::Row;
use predicates::prelude::*;

/// The halves of this machine; `None` where there is nothing to split.
fn halves() -> Option<[String; 2]> {
    let all = Cpus::allowed().expect("affinity");
    let (server, client) = all.list().split_at(all.list().len() / 2);
    let text = |cpus: &[usize]| Cpus::new(cpus.iter().copied()).words();
    (!server.is_empty()).then(|| [text(server), text(client)])
}

/// As a flag wants it.
fn flag(cpus: &str) -> String {
    cpus.trim_start_matches("cpu ").replace(' ', ",")
}

fn row_of(fake: &Fake, arguments: &[&str], code: i32) -> Row {
    fake.run_faulty("sequential", arguments).assert().code(code);
    fake.rows().remove(0)
}

#[test]
fn everybody_runs_where_they_were_put() {
    let all = Cpus::allowed().expect("affinity").words();
    let shared = row_of(&Fake::new(&[]), &[], 0);
    assert_eq!((shared.placement.as_str(), &shared.server_cpus, &shared.client_cpus), ("shared", &all, &all));
    let Some([server, client]) = halves() else { return };
    let given: [&[&str]; 2] = [
        &["--placement", "split", "--server-cpus", &flag(&server), "--client-cpus", &flag(&client)],
        &["--placement", "split", "--server-cpus", &flag(&client), "--client-cpus", &flag(&server)],
    ];
    for (arguments, sides) in given.into_iter().zip([[&server, &client], [&client, &server]]) {
        let row = row_of(&Fake::new(&[]), arguments, 0);
        assert_eq!((row.placement.as_str(), row.error.as_str()), ("split", ""));
        assert_eq!([&row.server_cpus, &row.client_cpus], sides);
    }
    // An outside server, behind its guard, likewise.
    let port = Fake::with("", &["--port", "{port}"]);
    let row = row_of(&port, &["--placement", "split", "--server-cpus", &flag(&client)], 0);
    assert_eq!((&row.server_cpus, row.error.as_str()), (&client, ""));
}

#[test]
fn a_server_that_leaves_its_cpus_is_an_error() {
    if halves().is_none() {
        return;
    }
    let row = row_of(&Fake::new(&["--fault", "wanders"]), &["--placement", "split"], 4);
    assert!(row.error.contains("the server may run on CPU"), "{}", row.error);
    assert_eq!((row.verdict.as_str(), row.ok), ("failed", Some(20)));
    assert!(row.verdict_reason.contains("was given"), "{}", row.verdict_reason);
    // On all CPUs there is nowhere else to go.
    let row = row_of(&Fake::new(&["--fault", "wanders"]), &["--placement", "shared"], 0);
    assert_eq!(row.error, "");
}

#[test]
fn a_server_that_boasts_of_threads_is_an_error() {
    let row = row_of(&Fake::new(&["--fault", "boasts"]), &[], 4);
    assert!(row.error.contains("says that 5000 threads run its tasks"), "{}", row.error);
}

#[test]
fn placements_that_cannot_be_are_refused_before_anything_starts() {
    let cases: [(&[&str], &str); 4] = [
        (&["--server-cpus", "0"], "--server-cpus has no effect"),
        (&["--placement", "shared", "--client-cpus", "0"], "--client-cpus has no effect"),
        (&["--placement", "split", "--server-cpus", "1000"], "lets the harness run on"),
        (&["--server-cpus", "zero"], "as in 0"),
    ];
    for (arguments, said) in cases {
        let fake = Fake::new(&[]);
        fake.run_faulty("sequential", arguments).assert().code(2).stderr(predicate::str::contains(said));
        assert!(!fake.out().exists());
    }
}

#[test]
fn a_load_of_more_than_a_second_is_judged_on_its_host() {
    let fake = Fake::new(&[]);
    fake.run(&["--route", "wait?ms=60", "--strategy", "sequential", "--requests", "20", "--blocks", "1"])
        .args(["--processes", "1"])
        .assert()
        .code(0);
    let row = fake.rows().remove(0);
    assert!(row.elapsed_s > Some(1.2), "{row:?}");
    for share in [row.host_steal_share, row.host_other_share, row.server_utilisation, row.client_utilisation]
    {
        assert!(share.is_some_and(|share| (0.0..=1.0).contains(&share)), "{row:?}");
    }
    // Whether this machine is quiet now is not this test's to say.
    assert!(["ok", "noisy_host"].contains(&row.verdict.as_str()), "{} {}", row.verdict, row.verdict_reason);
    assert_eq!(row.ceiling_by, "concurrency");
}

#[test]
fn a_short_load_says_what_it_was_not_judged_on() {
    let row = row_of(&Fake::new(&[]), &[], 0);
    assert_eq!((row.host_steal_share, row.host_other_share), (None, None));
    assert_eq!(row.verdict, "ok");
    assert_eq!(row.verdict_reason, "not judged: host, Little's law");
}

#[test]
fn failures_have_their_verdicts() {
    for (fault, code, verdict, reason) in [
        ("unavailable", 3, "errors", "20 bad status of 20 requests"),
        ("stubborn", 4, "failed", "did not stop within 3 s"),
        ("no-start", 4, "failed", "did not start"),
    ] {
        let row = row_of(&Fake::new(&["--fault", fault]), &[], code);
        assert_eq!(row.verdict, verdict, "{fault}");
        assert!(row.verdict_reason.contains(reason), "{fault}: {}", row.verdict_reason);
    }
}

/// A row of one of the load engine's strategies, over the path on which the fake server shows its fault. A
/// machine that is too busy to read its clocks in time is asked again: such a row says nothing else.
fn engine_row(fake: &Fake, arguments: &[&str], code: i32) -> Row {
    for _ in 0..10 {
        _ = std::fs::remove_dir_all(fake.out());
        let mut command = fake.run(&["--blocks", "1", "--route", "wait?ms=7", "--processes", "1"]);
        let assert = command.args(arguments).assert();
        let row = fake.rows().remove(0);
        if !row.error.is_empty() || row.half_cpu_ratio.is_some() {
            assert.code(code);
            return row;
        }
    }
    panic!("ten times in a row the server's clocks were not read in time");
}

#[test]
fn the_load_engine_s_measured_time_is_read_at_its_marks() {
    for (strategy, bound) in [
        ("open-loop --rate 100 --arrival constant", "offered_rate"),
        ("closed-loop --concurrency 4", "concurrency"),
    ] {
        let fake = Fake::new(&[]);
        let mut arguments: Vec<&str> = vec!["--duration", "1500ms", "--warmup", "300ms", "--strategy"];
        arguments.extend(strategy.split(' '));
        let row = engine_row(&fake, &arguments, 0);
        // A busy machine keeps a closed loop from its ceiling, and then nothing explains it.
        assert!(row.error.is_empty() && [bound, "unexplained"].contains(&row.bound_by.as_str()), "{row:?}");
        assert_eq!((row.ceiling_by.as_str(), row.duration_s, row.warmup_s), (bound, Some(1.5), Some(0.3)));
        if let Some([server, client]) = halves() {
            assert_eq!(
                (row.placement.as_str(), &row.server_cpus, &row.client_cpus),
                ("split", &server, &client)
            );
        }
        assert!(row.server_cpu_us_per_request > Some(0.0) && row.server_utilisation > Some(0.0), "{row:?}");
        assert!(row.half_throughput_ratio.is_some() && row.little_ratio.is_some(), "{row:?}");
        assert!(row.host_steal_share.is_some() && row.host_other_share.is_some(), "{row:?}");
        // How quiet and how steady this machine is now is not this test's to say.
        assert!(
            !["failed", "errors", "overloaded", "little_violated"].contains(&row.verdict.as_str()),
            "{row:?}"
        );
    }
}

#[test]
fn a_schedule_that_cannot_be_kept_is_overload() {
    // One connection answers 140 in a second. Less than a second is not judged on its host.
    let arguments = [
        "--strategy",
        "open-loop",
        "--rate",
        "300",
        "--arrival",
        "constant",
        "--concurrency",
        "1",
        "--duration",
        "900ms",
    ];
    let arguments = [&arguments[..], &["--warmup", "1ms"]].concat();
    let row = engine_row(&Fake::new(&[]), &arguments, 0);
    assert_eq!(row.verdict, "overloaded", "{row:?}");
    assert!(
        row.verdict_reason.contains("due of the second half were answered in time"),
        "{}",
        row.verdict_reason
    );
    assert_eq!((row.ceiling_by.as_str(), row.offered_rps), ("concurrency", Some(300.0)));
}

#[test]
fn a_server_that_dies_under_the_load_engine_has_no_measured_time() {
    let arguments =
        ["--strategy", "closed-loop", "--concurrency", "2", "--duration", "2s", "--warmup", "1ms"];
    let row = engine_row(&Fake::new(&["--fault", "dies"]), &arguments, 4);
    assert!(row.error.contains("exit status 7"), "{}", row.error);
    assert_eq!((row.verdict.as_str(), row.server_cpu_us_per_request), ("failed", None));
}
