//! Starting a child so that it cannot outlive this process.

use crate::host::cpus::Cpus;
use crate::host::machine::ENVIRONMENT;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How many of a child's last stderr lines are kept for its row.
const LAST_LINES: usize = 8;
/// The longest line that is kept, in characters.
const LINE_LENGTH: usize = 300;

/// A running child. Dropping it kills its process group.
#[derive(Debug)]
pub struct Proc {
    child: Child,
    last_lines: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

/// Whether a child dies with the thread that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifeline {
    /// The kernel kills it (`PR_SET_PDEATHSIG`). It must be started by a thread that stays, such as the agent's main thread,
    /// since the signal comes when the starting *thread* ends.
    ParentDeath,
    /// It watches its stdin, which ends with this process: for the guard, which has to clean up first, and for an agent.
    Stdin,
    /// The same, in a session of its own: without a terminal, so that it cannot ask there for a password.
    Session,
}

impl Proc {
    /// Starts `command` in a process group of its own, so that a terminal's Ctrl-C reaches only the
    /// coordinator, and not its agent. Stdin and stdout are pipes; the last lines of stderr are kept.
    ///
    /// On `cpus`, where given, it is from its first instruction, so that what it asks the machine about
    /// itself (how many threads it can run, for one) is answered accordingly.
    ///
    /// # Errors
    /// The program cannot be started, or not there.
    pub fn spawn(command: &mut Command, lifeline: Lifeline, cpus: Option<&Cpus>) -> Result<Proc> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match lifeline {
            Lifeline::ParentDeath => {
                command.process_group(0);
                die_with_parent(command);
            }
            Lifeline::Stdin => _ = command.process_group(0),
            Lifeline::Session => own_session(command),
        }
        let program = command.get_program().to_string_lossy().into_owned();
        // Affinity is inherited. The thread itself must not stay there, nor any it starts later.
        let started = match cpus {
            Some(cpus) => cpus.while_pinned(|| command.spawn()).map_err(anyhow::Error::msg)?,
            None => command.spawn(),
        };
        let mut child = started.with_context(|| format!("cannot start {program}"))?;
        let last_lines = Arc::new(Mutex::new(VecDeque::new()));
        let reader = child.stderr.take().map(|stderr| {
            let last_lines = Arc::clone(&last_lines);
            thread::spawn(move || {
                for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                    let line: String =
                        String::from_utf8_lossy(&line).trim_end().chars().take(LINE_LENGTH).collect();
                    let mut lines = last_lines.lock().unwrap_or_else(PoisonError::into_inner);
                    lines.push_back(line);
                    while lines.len() > LAST_LINES {
                        lines.pop_front();
                    }
                }
            })
        });
        Ok(Proc { child, last_lines, reader, status: None })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// Its stdin, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Gives its stdin back, to be kept open until it is taken again or the child is dropped.
    pub fn put_stdin(&mut self, stdin: Option<ChildStdin>) {
        self.child.stdin = stdin;
    }

    /// Its stdout, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for its end, `limit` at the most.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_micros(200);
        loop {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        // While it is not reaped, its pid cannot be another process's.
        if self.exited().is_none() {
            _ = kill(Pid::from_raw(self.pid()), signal);
        }
    }

    /// Kills its process group and reaps it.
    pub fn kill(&mut self) {
        if self.exited().is_none() {
            _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
            self.status = self.child.wait().ok();
        }
    }

    /// The last lines it wrote on stderr, joined by ` | `. Complete once the child has ended.
    pub fn last_lines(&mut self) -> String {
        if self.exited().is_some()
            && let Some(reader) = self.reader.take()
        {
            // A grandchild may still hold the pipe: its lines are not worth waiting for.
            let deadline = Instant::now() + Duration::from_millis(200);
            while !reader.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let lines = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Takes from the environment of a program of ours what could change how it runs: all but [`ENVIRONMENT`].
pub(super) fn clean(command: &mut Command) {
    command.env_clear();
    command.envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
}

/// `what happened`, and the child's last lines if it wrote any.
pub fn with_last_lines(what: &str, proc: &mut Proc) -> String {
    match proc.last_lines() {
        lines if lines.is_empty() => what.to_owned(),
        lines => format!("{what}; its last lines: {lines}"),
    }
}

/// "exit status 1" or "signal 9 (SIGKILL)", in words.
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(name) => format!("signal {signal} ({name})"),
            Err(_) => format!("signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}

/// Returns true if the problem, in the words of [`describe`], is that somebody killed a process, of which a guard makes
/// a status. The harness does not do that to one that it waits for, and no process does it to itself.
pub fn was_killed(problem: &str) -> bool {
    problem.contains("signal 9 (SIGKILL)") || problem.contains("exit status 137")
}

/// Has the child begin a session, and with it a process group.
#[expect(unsafe_code, reason = "Command::pre_exec is unsafe, and only a child can begin its own session")]
fn own_session(command: &mut Command) {
    let set = || nix::unistd::setsid().map(|_| ()).map_err(std::io::Error::from);
    // SAFETY: between fork and exec the closure makes one system call. It
    // allocates nothing, takes no lock and touches no shared state.
    unsafe { command.pre_exec(set) };
}

/// Has the kernel send SIGKILL to the child when the thread that starts it ends.
#[expect(unsafe_code, reason = "Command::pre_exec is unsafe, and only a child can set its own death signal")]
pub(super) fn die_with_parent(command: &mut Command) {
    let parent = nix::unistd::getpid();
    let set = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died between fork and prctl; then nobody would send the signal.
        if nix::unistd::getppid() != parent {
            return Err(nix::Error::ESRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls. It
    // allocates nothing, takes no lock and touches no shared state.
    unsafe { command.pre_exec(set) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_somebody_killed_is_told_from_one_that_ended() {
        let ended = |script: &str| {
            let mut proc = Proc::spawn(Command::new("sh").args(["-c", script]), Lifeline::ParentDeath, None);
            let status = proc.as_mut().expect("sh").wait(Duration::from_secs(10));
            format!("the server died: {}", describe(status.expect("it ends")))
        };
        assert!(was_killed(&ended("kill -9 $$")) && was_killed(&ended("exit 137")));
        assert!(!was_killed(&ended("kill -6 $$")) && !was_killed(&ended("exit 9")));
    }
}
