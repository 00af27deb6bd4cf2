//! Runs over several hosts, which are all this machine: agents behind a launcher, a load that two clients share, and
//! what becomes of a run when an agent is gone.

use crate::common::{Fake, eventually, harness, is_running, two};
use harness::host::usage::descendants;
use harness::record::row::Row;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A load of a second at 400 a second on two connections a client.
const OPEN: [&str; 18] = [
    "--strategy",
    "open-loop",
    "--rate",
    "400",
    "--arrival",
    "poisson",
    "--concurrency",
    "4",
    "--route",
    "wait?ms=1",
    "--blocks",
    "1",
    "--processes",
    "1",
    "--warmup",
    "0s",
    "--timeout",
    "5s",
];

/// A file of hosts: the server's and two clients', each behind a launcher with a cache of its own.
fn hosts(fake: &Fake) -> PathBuf {
    let host = |name: &str, more: &str| {
        let cache = fake.folder.path().join("cache").join(name);
        let launch = ["env".to_owned(), format!("XDG_CACHE_HOME={}", cache.display())];
        format!("[[host]]\nname = \"{name}\"\nlaunch = {launch:?}\n{more}\n")
    };
    let server = host("a", "role = \"server\"\naddress = \"127.0.0.1\"");
    let clients = [host("b", "role = \"client\""), host("c", "role = \"client\"")].concat();
    let path = fake.folder.path().join("hosts.toml");
    std::fs::write(&path, server + &clients).expect("written");
    path
}

fn run(fake: &Fake, load: &[&str]) -> assert_cmd::Command {
    let mut command = fake.run(load);
    command.arg("--hosts").arg(hosts(fake));
    command
}

#[test]
fn two_clients_share_a_schedule_and_give_one_row() {
    let fake = Fake::new(&["--fault", "none"]);
    run(&fake, &OPEN).args(["--duration", "1s", "--seed", "7"]).assert().success();
    let own = Fake::new(&["--fault", "none"]);
    own.run(&OPEN).args(["--duration", "1s", "--seed", "7"]).assert().success();
    let last = |fake: &Fake| fake.rows().pop().expect("a row");
    let (row, one) = (last(&fake), last(&own));
    assert_eq!((row.server_host.as_str(), row.client_hosts.as_str()), ("a", "b c"), "{row:?}");
    assert_eq!((row.placement.as_str(), row.error.as_str()), ("hosts", ""), "{row:?}");
    assert_eq!((row.connections, row.concurrency, row.offered_rps), (Some(4), 4, Some(400.0)));
    assert_eq!((row.scheduled, row.connects), (row.ok, one.connects));
    assert!(row.scheduled.is_some_and(|n| (300..500).contains(&n)) && one.ok == one.scheduled, "{row:?}");
    // Their sum is that of one client, within what two more clocks may differ by.
    let p50 = |row: &Row| row.response_p50_us.expect("more than 200 samples");
    assert!(p50(&row) > 1000.0 && p50(&one) > 1000.0, "{row:?}");
    assert!(row.threads_seen.is_some() && row.in_flight_mean.is_some(), "{row:?}");
    assert!(row.network_floor_us.is_some() && one.network_floor_us.is_none(), "{row:?}");
    // The harness was put into each cache, once.
    for name in ["a", "b", "c"] {
        let kept = std::fs::read_dir(fake.folder.path().join("cache").join(name).join("harness"));
        assert_eq!(kept.expect("a cache").count(), 1, "{name}");
    }
    let run = fake.record();
    let names: Vec<&str> =
        run["hosts"].as_array().expect("hosts").iter().filter_map(|h| h["name"].as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn a_run_that_goes_on_within_a_group_asks_the_network_again() {
    let fake = two();
    let mut run = harness();
    run.args(["--server", "one,two", "--strategy", "sequential", "--requests", "3", "--route", "wait?ms=1"]);
    run.args(["--processes", "1", "--blocks", "1", "--manifest"]).arg(fake.manifest());
    run.arg("--out").arg(fake.out()).arg("--hosts").arg(hosts(&fake)).assert().success();
    let whole = std::fs::read(fake.out().join("cells.csv")).expect("there");
    let last = whole.trim_ascii_end().iter().rposition(|byte| *byte == b'\n').expect("a row before it");
    fake.cut(&whole[..=last]);
    harness().arg("--resume").arg(fake.out()).assert().success();
    let rows = fake.all_rows();
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row.network_floor_us.is_some()), "{rows:?}");
}

#[test]
fn an_agent_ends_with_its_stdin() {
    harness().arg("agent").write_stdin("").assert().success();
}

#[test]
fn connections_and_requests_are_split_as_far_as_they_go() {
    for (strategy, more, clients) in [
        ("async", &["--concurrency", "3"][..], "b c"),
        ("sequential", &[][..], "b"),
        ("thread-pool", &[][..], "b c"),
    ] {
        let fake = Fake::new(&["--fault", "none"]);
        let load = ["--strategy", strategy, "--requests", "21", "--route", "wait?ms=1", "--blocks", "1"];
        run(&fake, &load).args(["--processes", "1"]).args(more).assert().success();
        let row = fake.rows().pop().expect("a row");
        assert_eq!(
            (row.ok, row.scheduled, row.client_hosts.as_str()),
            (Some(21), Some(21), clients),
            "{strategy}"
        );
        assert!(row.throughput_rps > Some(0.0) && row.error.is_empty(), "{row:?}");
    }
}

#[test]
fn what_is_wrong_with_a_host_is_one_line_and_no_run() {
    for (launch, code, said) in [
        (
            r#"["sh", "-c", "echo no route to it >&2; exit 255"]"#,
            4,
            "host c: its launcher ended: exit status 255; its last lines: no route to it",
        ),
        (r#"["/nonexistent/ssh"]"#, 4, "host c: cannot start /nonexistent/ssh"),
        (r#"["sh", "-c", "echo harness-host vax have; cat"]"#, 4, "host c: it is vax and this machine is"),
        (r#""ssh bench-1""#, 2, "hosts.toml: line"),
    ] {
        let fake = Fake::new(&["--fault", "none"]);
        let path = hosts(&fake);
        let text = std::fs::read_to_string(&path).expect("there");
        let (before, _) = text.rsplit_once("launch").expect("a last host");
        std::fs::write(&path, format!("{before}launch = {launch}\nrole = \"client\"\n")).expect("written");
        let mut command = fake.run(&OPEN);
        let told =
            command.arg("--hosts").arg(&path).assert().code(code).stderr(predicate::str::contains(said));
        let stderr = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!fake.out().exists());
    }
    let fake = Fake::new(&["--fault", "none"]);
    let mut split = run(&fake, &OPEN);
    split
        .args(["--placement", "split"])
        .assert()
        .code(2)
        .stderr(predicate::str::contains("no effect with --hosts"));
}

/// The agent of a host by its cache, as soon as a client is under way.
fn agent_of(run: &Child, name: &str) -> Pid {
    let mut found = None;
    eventually("the agent is there", || {
        let all: Vec<(i32, Vec<String>)> = descendants(run.id().cast_signed())
            .into_iter()
            .filter_map(|pid| Some((pid, procfs::process::Process::new(pid).ok()?.cmdline().ok()?)))
            .collect();
        let is_agent = |line: &[String]| line.ends_with(&["agent".to_owned(), "--lease".to_owned()]);
        // While the server has its fault, and not its ceiling.
        let server = all.iter().any(|(_, line)| line.iter().filter(|word| *word == "--fault").count() == 1);
        let client = all.iter().any(|(_, line)| line.last().is_some_and(|last| last == "client"));
        let here =
            all.iter().find(|(_, line)| is_agent(line) && line[0].contains(&format!("/cache/{name}/")));
        found = here.filter(|_| server && client).map(|(pid, _)| Pid::from_raw(*pid));
        found.is_some()
    });
    found.expect("waited for")
}

#[test]
fn an_agent_that_is_killed_costs_a_row_and_leaves_nothing_on_any_host() {
    for name in ["a", "b", "c"] {
        let fake = Fake::new(&["--fault", "none"]);
        let ready = run(&fake, &OPEN);
        let mut command = Command::new(ready.get_program());
        command.args(ready.get_args()).args(["--duration", "3s"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut run = command.spawn().expect("built");
        let agent = agent_of(&run, name);
        let below = descendants(agent.as_raw());
        std::thread::sleep(std::time::Duration::from_millis(500));
        kill(agent, Signal::SIGKILL).expect("ours");
        for pid in below {
            eventually("what it started is gone", || !is_running(pid));
        }
        assert_eq!(run.wait().expect("ours").code(), Some(4), "{name}");
        let row = fake.rows().pop().expect("a row");
        assert!(row.error.contains("the agent ended: signal 9"), "{name}: {}", row.error);
        assert_eq!((row.verdict.as_str(), row.ok), ("failed", None), "{name}");
        let folder = fake.folder.path().to_string_lossy().into_owned();
        eventually("nothing of the run is left", || {
            let all = procfs::process::all_processes().expect("/proc").flatten();
            let lines = all.filter_map(|process| process.cmdline().ok());
            !lines.into_iter().any(|line| line.iter().any(|word| word.contains(&folder)))
        });
    }
}

/// Replaces the launcher of the last host.
fn with_last_launcher(fake: &Fake, launch: &[&str]) -> PathBuf {
    let path = hosts(fake);
    let text = std::fs::read_to_string(&path).expect("there");
    let (before, _) = text.rsplit_once("launch").expect("a last host");
    std::fs::write(&path, format!("{before}launch = {launch:?}\nrole = \"client\"\n")).expect("written");
    path
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_on_a_host_is_one_line() {
    let fake = Fake::new(&["--fault", "none"]);
    let disk = fake.folder.path().join("disk");
    std::fs::create_dir(&disk).expect("new");
    let script =
        format!("mount -t tmpfs -o size=1m none {0} && export XDG_CACHE_HOME={0} && exec sh", disk.display());
    let path = with_last_launcher(&fake, &["unshare", "--mount", "sh", "-c", &script]);
    let mut command = fake.run(&OPEN);
    let told = command.arg("--hosts").arg(&path).assert().code(4);
    let stderr = String::from_utf8_lossy(&told.get_output().stderr).into_owned();
    assert!(stderr.contains("host c: ") && stderr.contains("No space left on device"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!fake.out().exists());
}

#[test]
#[ignore = "needs root"]
fn a_clock_that_is_an_hour_off_changes_nothing() {
    let fake = Fake::new(&["--fault", "none"]);
    let cache = format!("XDG_CACHE_HOME={}", fake.folder.path().join("cache").display());
    let hour = ["unshare", "--time", "--fork", "--monotonic", "3600", "--boottime", "3600", "env", &cache];
    let path = with_last_launcher(&fake, &hour);
    let mut command = fake.run(&OPEN);
    command.args(["--duration", "1s"]).arg("--hosts").arg(&path).assert().success();
    let row = fake.rows().pop().expect("a row");
    assert_eq!(
        (row.client_hosts.as_str(), row.error.as_str(), row.ok),
        ("b c", "", row.scheduled),
        "{row:?}"
    );
    assert!(row.elapsed_s.is_some_and(|s| (0.9..3.0).contains(&s)), "{row:?}");
    assert!(row.response_max_us.is_some_and(|us| us < 5e6) && row.lateness_max_us < Some(1e6), "{row:?}");
}
