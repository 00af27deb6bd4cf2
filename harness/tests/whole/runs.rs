//! Whole runs against the fake server: what is written, and what is shown.

use crate::common::{CEILING, Fake, eventually, fake_server, harness, is_running};
use harness::record::directory::histograms_name;
use harness::record::interval_log;
use harness::record::row::{Row, round};
use load::histogram::percentile;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// The strategies that run for a number of requests, and so not for seconds.
const ARTICLE: [&str; 2] = ["--strategy", "sequential,thread-pool,async"];

#[test]
fn a_run_writes_its_rows_its_summary_and_its_circumstances() {
    let fake = Fake::new(&[]);
    fake.run(&["--route", "wait?ms=2,asyncwait?ms=2", "--requests", "30", "--blocks", "2", "--seed", "5"])
        .args(ARTICLE)
        .args(["--processes", "1", "--details"])
        .assert()
        .code(0)
        .stdout(predicate::str::is_match(r"(?m)^\d+\.\d\d reqs / sec \| 30 reqs \| http://127\.0\.0\.1:\d+/wait\?ms=2 \| sequential \| fake$").expect("a pattern"))
        .stdout(predicate::str::contains("fake (fake 1.0, std, 512 blocking threads, 2 blocks)"))
        .stdout(predicate::str::contains("summary.csv"));
    let rows = fake.rows();
    assert_eq!(rows.len(), 2 * 2 * 3);
    for row in &rows {
        assert_eq!((row.scheduled, row.ok, row.error.as_str()), (Some(30), Some(30), ""));
        assert_eq!((row.run_id.as_str(), row.seed, row.runtime.as_str()), ("out", 5, "fake"));
        let connects = if row.keep_alive { row.concurrency as u64 } else { 30 };
        assert!(row.connects.is_some_and(|n| n <= connects && n > 0), "{row:?}");
        assert!(row.service_mean_us.is_some_and(|mean| mean >= 2000.0), "{row:?}");
        assert!(row.throughput_rps <= row.ceiling_rps, "{row:?}");
        assert!(row.server_peak_rss_bytes.is_some_and(|bytes| bytes > 0), "{row:?}");
        assert!(row.threads_seen.is_some_and(|n| n > 0), "{row:?}");
        assert!(row.server_cpu_us_per_request.is_some() && row.client_cpu_us_per_request.is_some());
    }
    let all = fake.all_rows();
    let places: Vec<(usize, usize)> = all.iter().map(|row| (row.block, row.order_index)).collect();
    assert_eq!(
        places,
        [1, 2]
            .map(|block| (1..=9).map(move |place| (block, place)))
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    );
    let mut summary = csv::Reader::from_path(fake.out().join("summary.csv")).expect("there");
    assert_eq!(summary.records().count(), 6 + 3);
    ceilings_come_first(&all);
    histograms_give_the_percentiles(&fake, &all);
    let run = fake.record();
    assert_eq!((&run["seed"], &run["interrupted"]), (&5.into(), &false.into()));
    assert!(run["machine"]["kernel"].is_string() && run["ended_at"].is_string());
    assert_eq!(run["servers"]["fake"]["ready_line"]["runtime"], "fake");
    // And the tables again, from the stored rows.
    harness()
        .args(["report", "--details"])
        .arg(fake.out())
        .assert()
        .code(0)
        .stdout(predicate::str::contains("fake (fake 1.0"));
}

/// At the beginning of a block, and then beside every row of the same work.
fn ceilings_come_first(rows: &[Row]) {
    for block in [1, 2] {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.block == block).collect();
        let (ceilings, others) = rows.split_at(3);
        for row in ceilings {
            assert_eq!((row.role.as_str(), row.route.as_str()), ("ceiling", "/plaintext"), "{row:?}");
            assert_eq!((row.server.as_str(), row.client_ceiling_rps), ("fake-ceiling", None));
        }
        for row in others {
            let ceiling = ceilings.iter().find(|ceiling| ceiling.strategy == row.strategy).expect("has one");
            assert!(row.client_ceiling_rps.is_some() && row.client_ceiling_rps == ceiling.throughput_rps);
        }
    }
}

fn histograms_give_the_percentiles(fake: &Fake, rows: &[Row]) {
    let folder = fake.out().join("histograms");
    assert_eq!(std::fs::read_dir(&folder).expect("there").count(), rows.len());
    for row in rows {
        let intervals = interval_log::read(&folder.join(histograms_name(row))).expect("a log");
        let service = interval_log::merged(&intervals, "service").expect("one");
        assert_eq!(Some(service.len()), row.ok);
        let p50 = percentile(&service, 0, 0.5).map(|ns| round(ns as f64 / 1e3, 3));
        assert_eq!(p50, row.service_p50_us);
    }
}

#[test]
fn the_seed_decides_the_order() {
    let order = |seed: &str| {
        let fake = Fake::new(&[]);
        fake.run(&["--route", "wait?ms=1,wait?ms=2,wait?ms=3,wait?ms=4,wait?ms=5,wait?ms=6"])
            .args(["--requests", "1", "--strategy", "sequential", "--quiet", "--seed", seed, "--blocks", "1"])
            .args(["--processes", "1"])
            .assert()
            .code(0);
        fake.rows().into_iter().map(|row| row.route).collect::<Vec<_>>()
    };
    assert_eq!(order("1"), order("1"));
    assert_ne!(order("1"), order("2"));
}

#[test]
fn interference_is_in_flight_from_before_the_first_request_until_after_the_last() {
    let fake = Fake::new(&[]);
    // Each interfering request lasts longer than the cell: none may have been answered when it ends.
    fake.run_faulty("sequential", &["--interfere", "wait?ms=60000@3"]).assert().code(0);
    let row = &fake.rows()[0];
    assert_eq!((row.interference.as_str(), row.ok), ("wait?ms=60000@3", Some(20)));
    // Three of the 512 threads are taken; twenty requests in flight are what bounds a sequential client.
    assert_eq!(row.ceiling_by, "concurrency");
}

#[test]
fn interference_that_cannot_be_held_is_an_error() {
    let fake = Fake::new(&["--fault", "closes"]);
    fake.run(&["--route", "wait?ms=1", "--strategy", "sequential", "--requests", "20"])
        .args(["--interfere", "wait?ms=7@1", "--blocks", "1"])
        .assert()
        .code(4);
    assert!(fake.rows()[0].error.contains("interference"), "{}", fake.rows()[0].error);
}

#[test]
fn a_server_of_one_s_own_needs_only_a_port() {
    // Nor does it have to know of SIGTERM.
    let fake = Fake::with("", &["--port", "{port}", "--fault", "unaware"]);
    fake.run(&["--route", "asyncwait?ms=1", "--requests", "10", "--blocks", "1", "--processes", "1"])
        .args(ARTICLE)
        .assert()
        .code(0);
    let rows = fake.rows();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.ok == Some(10) && row.blocking_threads.is_none()));
}

#[test]
fn a_server_that_takes_its_own_number_of_processes_is_told() {
    let fake = Fake::with("", &["--port", "{port}", "--workers", "{processes}"]);
    fake.run(&["--route", "asyncwait?ms=1", "--requests", "10", "--processes", "2", "--blocks", "1"])
        .args(ARTICLE)
        .assert()
        .code(0);
    assert!(fake.rows().iter().all(|row| row.processes == 2));
}

/// A fake server that is already running, and its base URL.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut child =
            Command::new(fake_server()).args(arguments).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a ready line");
        let ready: contract::ready::ReadyLine = serde_json::from_str(&line).expect("a ready line");
        Running { child, url: format!("http://{}", ready.addr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().expect("ours");
        self.child.wait().expect("ours");
    }
}

#[test]
fn a_url_is_measured_and_its_server_left_alone() {
    let mut running = Running::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    harness()
        .args(["--url", &format!("{}/wait?ms=7", running.url), "--requests", "20", "--blocks", "1", "--out"])
        .arg(&out)
        .args(ARTICLE)
        .assert()
        .code(0);
    let rows = harness::record::directory::read_cells(&out).expect("valid");
    assert_eq!(rows.len(), 2 * 3);
    let (ceilings, rows) = rows.split_at(3);
    assert!(rows.iter().all(|row| row.ok == Some(20) && running.url.ends_with(&row.server)));
    // The project's own ceiling, which is built for that.
    assert!(ceilings.iter().all(|row| row.server == "ceiling" && row.role == "ceiling"));
    assert!(rows.iter().all(|row| row.client_ceiling_rps.is_some_and(|ceiling| ceiling > 0.0)));
    assert!(running.child.try_wait().expect("ours").is_none());
}

#[test]
fn a_url_that_does_not_answer_is_an_error_before_anything_is_written() {
    let running = Running::start(&[]);
    for (path, said) in [("/nosuch", "status 404"), ("", "cannot be measured")] {
        let url = match path {
            "" => "http://127.0.0.1:1/".to_owned(),
            path => format!("{}{path}", running.url),
        };
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        harness()
            .args(["--url", &url, "--out"])
            .arg(&out)
            .assert()
            .code(4)
            .stderr(predicate::str::contains(said));
        assert!(!out.exists());
    }
}

#[test]
fn what_there_is_can_be_listed() {
    let fake = Fake::new(&[]);
    let listed = |format: &str| {
        let mut command = harness();
        command.args(["list", "--format", format, "--manifest"]).arg(fake.manifest());
        String::from_utf8(command.assert().code(0).get_output().stdout.clone()).expect("UTF-8")
    };
    let table = listed("table");
    for name in
        ["fake", "tokio-multi", "ceiling", "thread-pool", "/asyncwait?ms=50", "seed", "not a contestant"]
    {
        assert!(table.contains(name), "{name}: {table}");
    }
    let json: serde_json::Value = serde_json::from_str(&listed("json")).expect("JSON");
    let servers = json["servers"].as_array().expect("a list");
    assert!(servers.iter().any(|server| server["name"] == "fake" && server["missing"].is_null()));
    let of_ceiling = servers.iter().find(|server| server["name"] == "ceiling").expect("listed");
    assert_eq!(of_ceiling["has"], serde_json::json!(["plaintext"]));
    assert_eq!(json["strategies"].as_array().map(Vec::len), Some(6));
}

#[test]
fn verify_tells_a_right_server_from_a_wrong_one() {
    for (fault, code, said) in
        [("none", 0, "fake: ok"), ("wrong-replies", 1, "fake: FAILED"), ("no-start", 4, "FAILED")]
    {
        let fake = Fake::new(&["--fault", fault]);
        let mut command = harness();
        command.args(["verify", "--server", "fake", "--manifest"]).arg(fake.manifest());
        command.assert().code(code).stdout(predicate::str::contains(said));
    }
    let running = Running::start(&[]);
    harness()
        .args(["verify", "--url", &running.url])
        .assert()
        .code(0)
        .stdout(predicate::str::contains(": ok"));
}

#[test]
fn verify_asks_for_declared_routes_of_several_manifests_and_for_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = |name: &str, body: &str| {
        let words = [fake_server().to_str().expect("UTF-8").to_owned(), "--port".into(), "{port}".into()];
        let routes = format!(
            "[[route]]\nname = 'short'\npath = '/wait?ms=1'\nbody_is = '{body}'\n\
             [[route]]\nname = 'absent'\npath = '/nowhere'\nstatus = 404\nbody_bytes = 0\n"
        );
        let path = folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, format!("command = {words:?}\n[[server]]\nname = '{name}'\n{routes}"))
            .expect("written");
        path
    };
    let right = manifest("right", "{\"duration\":0.001}");
    let wrong = manifest("wrong", "something else");
    let mut command = harness();
    command.args(["verify", "--server", "right,wrong", "--manifest"]).arg(right).arg("--manifest").arg(wrong);
    let output = command.assert().code(1).get_output().stdout.clone();
    let text = String::from_utf8(output).expect("UTF-8");
    assert!(text.contains("right: ok\n  2 cases passed, 0 failed\n"), "{text}");
    assert!(
        text.contains("wrong: FAILED\n  short (whole): body: expected \"something else\", got "),
        "{text}"
    );
    assert!(text.contains("1 cases passed, 1 failed"), "{text}");
}

/// A run that would take minutes, started in the background, and under way.
fn start_long_run(fake: &Fake, protocol: &str) -> (Child, [i32; 2]) {
    start_run(fake, protocol, &["--strategy", "sequential", "--requests", "20", "--blocks", "500"], || {
        fake.out().join("cells.csv").exists() && !fake.rows().is_empty()
    })
}

/// A run with these flags, started in the background, once it is `under_way` and a server runs. The server says who it and
/// its child are.
fn start_run(fake: &Fake, protocol: &str, flags: &[&str], under_way: impl Fn() -> bool) -> (Child, [i32; 2]) {
    let pids = fake.folder.path().join("pids");
    let mut words = vec![fake_server().to_str().expect("UTF-8").to_owned()];
    if protocol == "port" {
        words.extend(["--port".to_owned(), "{port}".to_owned()]);
    }
    let own = ["--pids", pids.to_str().expect("UTF-8")];
    let manifest = format!(
        "command = {words:?}\nprotocol = \"{protocol}\"\n[[server]]\nname = \"fake\"\nhas = [\"*\"]\nargs = {own:?}\n{CEILING}"
    );
    std::fs::write(fake.manifest(), manifest).expect("written");
    let mut command = Command::new(harness().get_program());
    command.args(["--server", "fake"]).args(flags);
    command.args(["--processes", "1", "--route", "wait?ms=7", "--manifest"]);
    command.arg(fake.manifest()).arg("--out").arg(fake.out()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().expect("starts");
    eventually("it is under way", under_way);
    let mut both = None;
    eventually("a server is running", || {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        let numbers: Vec<i32> = text.split(' ').filter_map(|n| n.parse().ok()).collect();
        both = <[i32; 2]>::try_from(numbers).ok();
        both.is_some_and(|both| both.iter().all(|pid| is_running(*pid)))
    });
    (child, both.expect("two process ids"))
}

#[test]
fn ctrl_c_keeps_the_rows_and_leaves_nothing_running() {
    let fake = Fake::new(&[]);
    let (mut run, _) = start_long_run(&fake, "contract");
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGINT).expect("ours");
    let status = run.wait().expect("ours");
    assert_eq!(status.code(), Some(130));
    let rows = fake.rows();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row.ok == Some(20) && row.error.is_empty()),
        "{rows:?}"
    );
    let run = fake.record();
    assert_eq!(run["interrupted"], true);
    assert!(fake.out().join("summary.csv").exists());
    let text = std::fs::read_to_string(fake.folder.path().join("pids")).expect("there");
    for pid in text.split(' ').map(|n| n.parse().expect("a number")) {
        eventually("the server and its child are gone", || !is_running(pid));
    }
}

#[test]
fn a_second_ctrl_c_is_heard_when_nobody_reads_what_is_said() {
    let fake = Fake::new(&[]);
    let long = ["--strategy", "open-loop", "--rate", "100", "--duration", "10m", "--blocks", "1"];
    // The ceiling's row is there, and the next one takes minutes.
    let rows = || std::fs::read_to_string(fake.out().join("cells.csv")).unwrap_or_default().lines().count();
    let (mut run, both) = start_run(&fake, "contract", &long, || rows() >= 2);
    drop(run.stderr.take());
    let pid = Pid::from_raw(run.id().cast_signed());
    // Two that come at once are one.
    eventually("the second is heard", || {
        kill(pid, Signal::SIGTERM).expect("not waited for yet");
        matches!(run.try_wait(), Ok(Some(status)) if status.code() == Some(130))
    });
    eventually("the server and its child are gone", || both.iter().all(|pid| !is_running(*pid)));
}

#[test]
fn nothing_survives_a_coordinator_that_is_killed() {
    for protocol in ["contract", "port"] {
        let fake = Fake::new(&[]);
        let (mut run, _) = start_long_run(&fake, protocol);
        let children = harness::host::usage::descendants(run.id().cast_signed());
        assert!(children.len() >= 3, "guard, server and its child: {children:?}");
        run.kill().expect("ours");
        run.wait().expect("ours");
        for pid in children {
            eventually("a child is gone", || !is_running(pid));
        }
        fake.rows();
    }
}

#[test]
fn a_rate_has_a_ceiling_without_it_and_a_log_for_each_second() {
    let fake = Fake::new(&[]);
    fake.run(&["--route", "asyncwait?ms=2", "--blocks", "1", "--processes", "1", "--strategy", "open-loop"])
        .args(["--rate", "400", "--concurrency", "8", "--duration", "2s", "--warmup", "100ms"])
        .output()
        .expect("it ends");
    let rows = fake.all_rows();
    let last = |role: &str, kind: &str| {
        rows.iter().rfind(|row| row.role == role && row.loop_kind == kind).expect("measured")
    };
    let (closed, floor, row) =
        (last("ceiling", "closed"), last("ceiling", "open"), last("contestant", "open"));
    assert_eq!((closed.strategy.as_str(), closed.connections), ("closed-loop", Some(8)));
    assert_eq!((floor.offered_rps, row.offered_rps), (Some(400.0), Some(400.0)));
    if closed.error.is_empty() {
        assert_eq!(
            (floor.client_ceiling_rps, row.client_ceiling_rps),
            (closed.throughput_rps, closed.throughput_rps)
        );
    }
    let log = fake.out().join("histograms").join(histograms_name(row));
    let intervals = interval_log::read(&log).expect("a log");
    for (kind, censored, p50) in [
        ("service", row.timed_out, row.service_p50_us),
        ("response", row.timed_out.zip(row.shed).map(|(a, b)| a + b), row.response_p50_us),
        ("lateness", Some(0), row.lateness_p50_us),
        ("conn_wait", row.shed, row.conn_wait_p50_us),
    ] {
        let seconds = intervals.iter().filter(|interval| interval.kind == kind).count();
        assert!((2..=3).contains(&seconds), "{kind}: {seconds} seconds");
        let all = interval_log::merged(&intervals, kind).expect("fit together");
        let again = percentile(&all, censored.expect("reported"), 0.5).map(|ns| round(ns as f64 / 1e3, 3));
        assert_eq!(again, p50, "{kind}");
        assert!(p50.is_some(), "{kind}");
    }
}
