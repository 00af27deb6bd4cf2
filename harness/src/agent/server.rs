//! A server under test: one process or several behind one port, from start to end.

use super::process_tree::ProcessTree;
use super::program::ProgramFile;
use super::sockets;
use super::spawn::{Lifeline, Proc, clean, describe, with_last_lines};
use crate::experiment::server::{Origin, Processes, Protocol, ServerDef};
use crate::host::cpus::Cpus;
use contract::ready::ReadyLine;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use sockets::Listening;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process takes to end that has lost its files and sockets already, as one that somebody kills.
const DYING: Duration = Duration::from_millis(100);
/// How long a server may take to stop, counted from SIGTERM.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// How long a server whose requests have been cut off may take before it gets a second SIGTERM.
const CUT_OFF_LIMIT: Duration = Duration::from_millis(30);

/// How many ports are tried for a server that cannot take a free one by itself.
const PORT_ATTEMPTS: usize = 3;

/// What every server of a run is started with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StartOptions {
    /// `--workers`, where given.
    pub workers: Option<usize>,
    /// `--blocking-threads`, where given.
    pub blocking_threads: Option<usize>,
    /// Further arguments, for servers that take the contract's.
    pub extra: Vec<String>,
    /// The CPUs it may run on, where given.
    pub cpus: Option<Cpus>,
    /// Where it listens; the loopback address where nothing is said.
    pub ip: Option<IpAddr>,
    /// A command line that the server's own is put behind, such as an instrument's; empty for none. It has to
    /// become the server: to run it in its own process.
    pub under: Vec<String>,
}

impl StartOptions {
    fn ip(&self) -> IpAddr {
        self.ip.unwrap_or(Ipv4Addr::LOCALHOST.into())
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    def: ServerDef,
    processes: Vec<Process>,
    program: Option<ProgramFile>,
    /// Where it listens.
    pub addr: SocketAddr,
}

#[derive(Debug)]
struct Process {
    proc: Proc,
    ready: ReadyLine,
    /// It and all that it starts; without it if it is a guard.
    tree: ProcessTree,
    protocol: Protocol,
}

impl Server {
    /// Starts `processes` processes of `def`, whose program is at `program` if it is a package.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn start(
        def: &ServerDef,
        program: Option<&PathBuf>,
        processes: usize,
        options: &StartOptions,
    ) -> Result<Server, String> {
        let program_file = match (program, def.is_package()) {
            (Some(program), true) => Some(ProgramFile::of(program)?),
            _ => None,
        };
        let any = SocketAddr::from((options.ip(), 0));
        let starts = if def.processes == Processes::ReusePort { processes } else { 1 };
        let mut started: Vec<Process> = Vec::new();
        for _ in 0..starts {
            let addr = started.first().map_or(any, |first| first.ready.addr);
            let process = match def.protocol {
                Protocol::Contract => start_by_contract(def, program, addr, starts > 1, processes, options)?,
                Protocol::Port => start_on_port(def, processes, options)?,
            };
            if started.first().is_some_and(|first| first.ready.addr != process.ready.addr) {
                return Err("its processes listen on different ports".into());
            }
            started.push(process);
        }
        let addr = started.first().ok_or("no process was asked for")?.ready.addr;
        let mut server = Server { def: def.clone(), processes: started, program: program_file, addr };
        let problem = match sockets::listening(addr.port(), || server.pids()) {
            Listening::Ours => return Ok(server),
            Listening::Nobody => format!("it does not listen on {addr}, though it says so"),
            Listening::Others => format!("another process listens on {addr} too"),
        };
        server.processes.iter_mut().for_each(|process| _ = process.proc.wait(DYING));
        Err(server.died().unwrap_or(problem))
    }

    /// What was started.
    pub(super) fn def(&self) -> &ServerDef {
        &self.def
    }

    /// What the first process said of itself.
    pub fn ready(&self) -> Option<&ReadyLine> {
        self.processes.first().map(|process| &process.ready)
    }

    /// Threads that run tasks, in all processes.
    pub fn worker_threads(&self) -> Option<usize> {
        self.processes.iter().map(|process| process.ready.worker_threads).sum()
    }

    /// Threads that may block at a time, in all processes.
    pub fn blocking_threads(&self) -> Option<usize> {
        self.processes.iter().map(|process| process.ready.blocking_threads).sum()
    }

    /// The program each of its processes must be running, where the harness chose it.
    pub fn program(&self) -> Option<&ProgramFile> {
        self.program.as_ref()
    }

    /// Its processes, whenever somebody looks.
    pub fn tree(&self) -> ProcessTree {
        let mut all = ProcessTree::default();
        self.processes.iter().for_each(|process| all.add(&process.tree));
        all
    }

    /// Every process that belongs to it now.
    pub fn pids(&self) -> Vec<i32> {
        self.tree().pids()
    }

    /// How it ended, if one of its processes has.
    pub fn died(&mut self) -> Option<String> {
        self.processes.iter_mut().find_map(|process| {
            let status = process.proc.exited()?;
            Some(death(status, &mut process.proc))
        })
    }

    /// Asks it to drain, and waits for its end. `cut_off` says that requests were in flight whose client
    /// has gone: nobody waits for their end, so it gets a second SIGTERM, which ends it at once.
    ///
    /// # Errors
    /// In words, for the row. Whatever it did, afterwards none of its processes is left.
    pub fn stop(mut self, cut_off: bool) -> Result<(), String> {
        if let Some(death) = self.died() {
            return Err(death);
        }
        let start = Instant::now();
        for process in &mut self.processes {
            process.proc.signal(Signal::SIGTERM);
        }
        if cut_off {
            for process in &mut self.processes {
                process.proc.wait(CUT_OFF_LIMIT.saturating_sub(start.elapsed()));
                process.proc.signal(Signal::SIGTERM);
            }
        }
        let mut problems = Vec::new();
        for process in &mut self.processes {
            let problem = match process.proc.wait(STOP_LIMIT.saturating_sub(start.elapsed())) {
                Some(status) if cut_off || process.may_end_with(status) => continue,
                Some(status) => format!("the server ended with {}", describe(status)),
                None if cut_off => {
                    process.proc.kill();
                    continue;
                }
                None => {
                    process.proc.kill();
                    format!("the server did not stop within {} s and was killed", STOP_LIMIT.as_secs())
                }
            };
            problems.push(with_last_lines(&problem, &mut process.proc));
        }
        if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
    }
}

impl Process {
    /// Whether that is an end in order, after SIGTERM. A server that knows nothing of the contract may
    /// simply die of it, of which its guard makes a status.
    fn may_end_with(&self, status: ExitStatus) -> bool {
        let of_sigterm = status.code() == Some(128 + Signal::SIGTERM as i32);
        status.success() || (self.protocol == Protocol::Port && of_sigterm)
    }
}

/// How a process ended before it was told to.
fn death(status: ExitStatus, proc: &mut Proc) -> String {
    with_last_lines(&format!("the server died: {}", describe(status)), proc)
}

fn start_by_contract(
    def: &ServerDef,
    program: Option<&PathBuf>,
    addr: SocketAddr,
    reuse_port: bool,
    processes: usize,
    options: &StartOptions,
) -> Result<Process, String> {
    let mut arguments = vec!["--addr".to_owned(), addr.to_string()];
    if reuse_port {
        arguments.push("--reuse-port".into());
    }
    for (name, value) in [("--workers", options.workers), ("--blocking-threads", options.blocking_threads)] {
        arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value.to_string()]));
    }
    if def.processes == Processes::Argument && processes > 1 {
        arguments.extend(["--processes".to_owned(), processes.to_string()]);
    }
    arguments.extend(options.extra.iter().cloned());
    let (mut proc, tree) = spawn(def, program, arguments, options, |word| word.to_owned())?;
    let lines = stdout_lines(&mut proc)?;
    let line = match lines.recv_timeout(def.start_limit) {
        Ok(line) => line,
        Err(reason) => return Err(not_started(proc, reason, def.start_limit)),
    };
    let ready: ReadyLine = serde_json::from_str(&line)
        .map_err(|error| format!("its ready line is wrong: {error}: {}", excerpt(&line)))?;
    let pid = i32::try_from(ready.pid).unwrap_or(0);
    if !tree.pids().contains(&pid) {
        return Err(match proc.wait(DYING) {
            Some(status) => death(status, &mut proc),
            None => format!("its ready line names process {pid}, which is not its own"),
        });
    }
    let process = Process { proc, ready, tree, protocol: Protocol::Contract };
    check_told(addr.ip(), process.ready.addr)?;
    match &process.ready.contract {
        Some(hash) if hash != contract::HASH => Err(format!(
            "it was built with contract {hash}, the harness with {}: build both again",
            contract::HASH
        )),
        None if def.is_package() => Err("its ready line names no contract".into()),
        _ => Ok(process),
    }
}

/// Refuses a server that sends its load elsewhere than to the address that it was told: any of the loopback's will do for
/// one of them.
fn check_told(told: IpAddr, says: SocketAddr) -> Result<(), String> {
    match told.is_loopback() {
        true if says.ip().is_loopback() => Ok(()),
        true => Err(format!("its ready line says {says}: load is sent to the loopback address it was given")),
        false if says.ip() == told => Ok(()),
        false => Err(format!("its ready line says {says}: load is sent to {told}, which it was given")),
    }
}

/// Tries again with another port where somebody took the first before the server could.
fn start_on_port(def: &ServerDef, processes: usize, options: &StartOptions) -> Result<Process, String> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let addr = sockets::free_port(options.ip()).map_err(|error| format!("no port is free: {error}"))?;
        match start_at(def, processes, options, addr) {
            Err(_) if attempts < PORT_ATTEMPTS && is_taken(addr) => {}
            outcome => return outcome,
        }
    }
}

/// Whether somebody listens there, after the server that should have is gone.
fn is_taken(addr: SocketAddr) -> bool {
    sockets::listening(addr.port(), Vec::new) == Listening::Others
}

fn start_at(
    def: &ServerDef,
    processes: usize,
    options: &StartOptions,
    addr: SocketAddr,
) -> Result<Process, String> {
    let fill = |word: &str| {
        word.replace("{addr}", &addr.to_string())
            .replace("{host}", &addr.ip().to_string())
            .replace("{port}", &addr.port().to_string())
            .replace("{processes}", &processes.to_string())
    };
    let (mut proc, tree) = spawn(def, None, Vec::new(), options, fill)?;
    // Read, so that a server that prints does not block; what it prints is its own business.
    let lines = stdout_lines(&mut proc)?;
    thread::spawn(move || for _ in lines {});
    let ready = ReadyLine {
        addr,
        runtime: def.name.clone(),
        runtime_version: String::new(),
        flavor: String::new(),
        http_stack: String::new(),
        worker_threads: None,
        blocking_threads: None,
        pid: u32::try_from(proc.pid()).unwrap_or(0),
        rustflags: String::new(),
        contract: None,
    };
    let mut process = Process { proc, ready, tree, protocol: Protocol::Port };
    let deadline = Instant::now() + def.start_limit;
    loop {
        let problem = match sockets::listening(addr.port(), || process.tree.pids()) {
            Listening::Ours => return Ok(process),
            Listening::Others => return Err(format!("another process took {addr} first; try again")),
            Listening::Nobody if process.proc.exited().is_some() => RecvTimeoutError::Disconnected,
            Listening::Nobody if Instant::now() > deadline => RecvTimeoutError::Timeout,
            Listening::Nobody => {
                thread::sleep(Duration::from_millis(2));
                continue;
            }
        };
        return Err(not_started(process.proc, problem, def.start_limit));
    }
}

fn spawn(
    def: &ServerDef,
    program: Option<&PathBuf>,
    arguments: Vec<String>,
    options: &StartOptions,
    fill: impl Fn(&str) -> String,
) -> Result<(Proc, ProcessTree), String> {
    let (mut command, lifeline) = match (&def.origin, program) {
        (Origin::Package(_), Some(program)) => {
            let mut command = match options.under.split_first() {
                Some((first, rest)) => {
                    let mut command = Command::new(first);
                    command.args(rest).arg(program);
                    command
                }
                None => Command::new(program),
            };
            clean(&mut command);
            (command, Lifeline::ParentDeath)
        }
        (Origin::Package(package), None) => return Err(format!("{} was not built", package.name)),
        (Origin::Command(words), _) => {
            let harness =
                std::env::current_exe().map_err(|error| format!("cannot find the harness: {error}"))?;
            let folder = def.folder.to_string_lossy();
            let mut command = Command::new(harness);
            command
                .args(["guard", "--"])
                .args(&options.under)
                .args(words.iter().map(|word| fill(&word.replace("{dir}", &folder))));
            command.current_dir(&def.folder);
            (command, Lifeline::Stdin)
        }
    };
    command.args(def.args.iter().map(|word| fill(word))).args(arguments);
    let proc =
        Proc::spawn(&mut command, lifeline, options.cpus.as_ref()).map_err(|error| format!("{error:#}"))?;
    let tree = match lifeline {
        Lifeline::Stdin | Lifeline::Session => ProcessTree::guarded_by(proc.pid()),
        Lifeline::ParentDeath => ProcessTree::of(proc.pid()),
    };
    Ok((proc, tree))
}

/// The lines of a child's stdout. They are read to the end, so that the child never blocks on it.
fn stdout_lines(proc: &mut Proc) -> Result<Receiver<String>, String> {
    let stdout = proc.take_stdout().ok_or("the server has no stdout")?;
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            // Nobody listens after the first line.
            _ = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    Ok(lines)
}

fn not_started(mut proc: Proc, reason: RecvTimeoutError, limit: Duration) -> String {
    let what = match reason {
        RecvTimeoutError::Timeout => format!("the server was not ready within {} s", limit.as_secs_f64()),
        RecvTimeoutError::Disconnected => match proc.wait(Duration::from_secs(2)) {
            Some(status) => format!("the server did not start: {}", describe(status)),
            None => "the server closed its stdout before it was ready".to_owned(),
        },
    };
    proc.kill();
    with_last_lines(&what, &mut proc)
}

fn excerpt(line: &str) -> String {
    line.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_goes_only_where_a_server_was_told_to_listen() {
        let check = |told: &str, says: &str| {
            check_told(told.parse().expect("an IP"), says.parse().expect("an address"))
        };
        for (told, says) in
            [("127.0.0.1", "127.0.0.1:80"), ("127.0.0.1", "[::1]:80"), ("10.77.0.1", "10.77.0.1:80")]
        {
            assert_eq!(check(told, says), Ok(()), "{told} {says}");
        }
        for (told, says) in
            [("127.0.0.1", "192.0.2.1:80"), ("10.77.0.1", "10.77.0.2:80"), ("10.77.0.1", "127.0.0.1:80")]
        {
            assert!(check(told, says).expect_err(told).contains(says), "{told} {says}");
        }
    }
}
