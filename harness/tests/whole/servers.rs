//! Every server of the workspace, as built for a run: start, stop, ports, caps. What they answer is
//! `harness verify`'s business.

use crate::common::{self, eventually};
use harness::agent::attest;
use harness::agent::server::{Server, StartOptions};
use harness::agent::sockets::{Listening, listening};
use harness::experiment::catalog::Catalog;
use harness::experiment::server::{Origin, Role, ServerDef};
use harness::host::cpus::Cpus;
use harness::host::machine::ENVIRONMENT;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;
use socket2::SockRef;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// Every server built on the contract that has `route`, with its program. The oracle has arguments of its own.
fn servers_with(route: &str) -> Vec<(ServerDef, PathBuf)> {
    let root = harness::experiment::root::find().expect("a clone");
    let catalog = Catalog::read(Some(&root), &[]).expect("valid manifests");
    let packages = catalog.servers.into_iter().filter(|def| def.is_package() && def.has_route(route));
    let packages = packages.filter(|def| def.role != Role::Oracle && !def.only_named);
    let servers: Vec<_> = packages
        .map(|def| {
            let Origin::Package(package) = &def.origin else { panic!("filtered") };
            let program = common::built(&package.name);
            (def, program)
        })
        .collect();
    assert!(servers.len() >= 5, "the contestants are there");
    servers
}

fn start(def: &ServerDef, program: &PathBuf, processes: usize, extra: &[&str]) -> Server {
    let extra = extra.iter().map(|word| (*word).to_owned()).collect();
    let options = StartOptions { extra, ..StartOptions::default() };
    Server::start(def, Some(program), processes, &options).unwrap_or_else(|e| panic!("{}: {e}", def.name))
}

/// Opens a connection and has one request answered on it, so that the server knows it.
fn connected(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("TCP");
    send(&mut stream, "/asyncwait?ms=0");
    let mut chunk = [0; 4096];
    let mut answer = Vec::new();
    while !answer.ends_with(b"{\"duration\":0.0}") {
        let n = stream.read(&mut chunk).expect("an answer");
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..n]);
    }
    stream
}

fn send(stream: &mut TcpStream, target: &str) {
    // In one piece: Nagle would hold a second one back, and the server would have read all there is.
    let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
}

/// Waits until the server has read everything that was sent on `stream`: the kernel says so.
fn until_read(stream: &TcpStream) {
    let (local, peer) = (stream.local_addr().expect("bound"), stream.peer_addr().expect("connected"));
    eventually("the server reads the request", || {
        procfs::net::tcp()
            .expect("/proc/net/tcp")
            .iter()
            .any(|entry| (entry.local_address, entry.remote_address, entry.rx_queue) == (peer, local, 0))
    });
}

#[test]
fn a_server_built_here_knows_nothing_of_our_environment() {
    let (def, program) = servers_with("asyncwait").remove(0);
    let server = start(&def, &program, 1, &[]);
    let pid = server.ready().expect("a ready line").pid.cast_signed();
    let its = Process::new(pid).and_then(|process| process.environ()).expect("ours");
    assert!(std::env::vars_os().count() > ENVIRONMENT.len(), "there is something to keep from it");
    for name in its.keys() {
        assert!(ENVIRONMENT.iter().any(|kept| name == *kept), "{}", name.display());
    }
    server.stop(false).expect("it stops");
}

#[test]
fn a_server_takes_a_worker_for_each_cpu_it_is_given() {
    let all = Cpus::allowed().expect("affinity");
    let one = Cpus::new(all.list().last().copied());
    for (def, program) in servers_with("asyncwait") {
        for cpus in [&one, &all] {
            let options = StartOptions { cpus: Some(cpus.clone()), ..StartOptions::default() };
            let server = Server::start(&def, Some(&program), 1, &options)
                .unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
            let seen = attest::server(&server, cpus);
            assert_eq!((&seen.cpus, seen.problems.as_slice()), (cpus, &[][..]), "{}", def.name);
            // A flavour of one thread has one, however many CPUs there are.
            if let Some(workers) = server.worker_threads() {
                let takes = [1, cpus.list().len()];
                assert!(takes.contains(&workers), "{}: {workers} workers on {cpus}", def.name);
            }
            server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
        }
    }
}

#[test]
fn a_signal_lets_the_request_in_flight_finish_and_closes_idle_connections() {
    for (def, program) in servers_with("asyncwait") {
        let server = start(&def, &program, 1, &[]);
        let (idle, mut busy) = (connected(&server), connected(&server));
        send(&mut busy, "/asyncwait?ms=300");
        until_read(&busy);
        server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
        let mut answer = String::new();
        busy.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{}: {error}", def.name));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{}: {answer}", def.name);
        assert!(answer.ends_with("\r\n\r\n{\"duration\":0.3}"), "{}: {answer}", def.name);
        drop(idle);
    }
}

#[test]
fn a_request_that_lasts_too_long_does_not_hold_the_end_up() {
    for (def, program) in servers_with("wait") {
        let server = start(&def, &program, 1, &[]);
        let (mut asleep, mut blocked) = (connected(&server), connected(&server));
        send(&mut asleep, "/asyncwait?ms=60000");
        send(&mut blocked, "/wait?ms=60000");
        until_read(&asleep);
        until_read(&blocked);
        // stop() gives a server three seconds, and fails if it does not end with status 0.
        server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
    }
}

#[test]
fn two_processes_share_a_port() {
    for (def, program) in servers_with("plaintext") {
        let server = start(&def, &program, 2, &[]);
        assert_eq!(server.pids().len(), 2, "{}", def.name);
        assert_eq!(listening(server.addr.port(), || server.pids()), Listening::Ours, "{}", def.name);
        for pid in server.pids() {
            assert_eq!(
                listening(server.addr.port(), || vec![pid]),
                Listening::Others,
                "{}: both listen",
                def.name
            );
        }
        server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
    }
}

#[test]
fn clients_that_come_all_at_once_find_room() {
    harness::host::files::raise_limit().expect("a limit");
    let longest = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("readable");
    let clients = longest.trim().parse::<usize>().expect("a number").min(2000);
    for (def, program) in servers_with("plaintext") {
        let server = start(&def, &program, 1, &[]);
        // Whoever is stopped accepts nobody: what is connected then is in its queue.
        let pid = Pid::from_raw(server.ready().expect("a ready line").pid.cast_signed());
        kill(pid, Signal::SIGSTOP).expect("ours");
        eventually("all its threads are stopped", || {
            let tasks = Process::new(pid.as_raw()).and_then(|process| process.tasks()).expect("ours");
            tasks.flatten().all(|task| task.stat().is_ok_and(|stat| stat.state == 'T'))
        });
        let connect = |_| {
            let stream = TcpStream::connect_timeout(&server.addr, Duration::from_secs(2)).ok()?;
            // A reset leaves no TIME_WAIT behind, and stays in the queue.
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok()
        };
        let waiting = (0..clients).map_while(connect).count();
        kill(pid, Signal::SIGCONT).expect("ours");
        // Its listener is its crate's own, with 1024 places, as its summary says.
        let expected = if def.name == "may-minihttp" { 1025.min(clients) } else { clients };
        assert_eq!(waiting, expected, "{}", def.name);
        server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
    }
}

#[test]
fn blocking_work_is_capped_for_the_whole_process() {
    for (def, program) in servers_with("wait") {
        let server = start(&def, &program, 1, &["--blocking-threads", "3"]);
        assert_eq!(server.blocking_threads(), Some(3), "{}", def.name);
        let start = Instant::now();
        thread::scope(|scope| {
            for mut stream in (0..6).map(|_| connected(&server)).collect::<Vec<_>>() {
                scope.spawn(move || {
                    send(&mut stream, "/wait?ms=200");
                    let n = stream.read(&mut [0; 4096]).expect("an answer");
                    assert!(n > 0);
                });
            }
        });
        // Six waits on three threads are two after the other.
        assert!(start.elapsed() >= Duration::from_millis(400), "{}: {:?}", def.name, start.elapsed());
        server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
    }
}

#[test]
fn servers_say_what_they_run() {
    for (def, program) in servers_with("plaintext") {
        let server = start(&def, &program, 1, &["--workers", "3"]);
        let ready = server.ready().expect("a contract server").clone();
        assert_eq!(ready.blocking_threads, Some(512), "{}", def.name);
        assert!(!ready.runtime.is_empty() && !ready.http_stack.is_empty(), "{}", def.name);
        assert_ne!(ready.runtime_version, "unknown", "{}: not in the lockfile", def.name);
        let single = ready.flavor == "current-thread";
        let expected = ready.worker_threads.map(|_| if single { 1 } else { 3 });
        assert_eq!(ready.worker_threads, expected, "{}", def.name);
        server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
    }
}

#[test]
fn wrong_arguments_are_refused() {
    for (def, program) in servers_with("plaintext") {
        for arguments in
            [["--flavor", "nosuch"], ["--workers", "0"], ["--blocking-threads", "-1"], ["--addr", "x"]]
        {
            let output = std::process::Command::new(&program).args(arguments).output().expect("it ends");
            assert!(!output.status.success(), "{} {arguments:?}", def.name);
            assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{} {arguments:?}", def.name);
        }
    }
}

#[test]
fn a_taken_port_is_an_error() {
    for (def, program) in servers_with("plaintext") {
        let server = start(&def, &program, 1, &[]);
        let addr = server.addr.to_string();
        let output = std::process::Command::new(&program).args(["--addr", &addr]).output().expect("it ends");
        assert!(!output.status.success(), "{}", def.name);
        assert!(String::from_utf8_lossy(&output.stderr).contains("cannot bind"), "{}", def.name);
        server.stop(false).unwrap_or_else(|problem| panic!("{}: {problem}", def.name));
    }
}

#[test]
fn serve_becomes_the_server_and_passes_its_arguments_on() {
    use std::io::BufRead as _;
    let mut child = std::process::Command::new(common::harness().get_program())
        .args(["serve", "--server", "smol", "--addr", "127.0.0.1:0", "--workers", "3"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let ready: contract::ready::ReadyLine = serde_json::from_str(&line).expect("a ready line");
    assert_eq!((ready.pid, ready.worker_threads), (child.id(), Some(3)));
    let mut stream = TcpStream::connect(ready.addr).expect("it listens");
    stream.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"duration\":0.05}"), "{answer}");
    let pid = Pid::from_raw(child.id().cast_signed());
    kill(pid, Signal::SIGTERM).expect("ours");
    assert_eq!(child.wait().expect("ours").code(), Some(0));
}

#[test]
fn there_is_one_ceiling_and_it_is_no_contestant() {
    let root = harness::experiment::root::find().expect("a clone");
    let catalog = Catalog::read(Some(&root), &[]).expect("valid manifests");
    let ceilings = catalog.servers.iter().filter(|def| def.role == Role::Ceiling);
    assert_eq!(ceilings.count(), 1);
}
