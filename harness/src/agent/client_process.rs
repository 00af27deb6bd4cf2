//! A client process on the agent's host: started with its order, listened to, ended.

use super::attest::{self, Seen};
use super::spawn::{Lifeline, Proc, clean, describe, with_last_lines};
use crate::host::cpus::Cpus;
use load::protocol::{GO, Message, Orders};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command};
use std::thread;
use std::time::Duration;

/// How long a client may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// A client process with an order.
#[derive(Debug)]
pub(super) struct ClientProcess {
    proc: Proc,
    stdin: Option<ChildStdin>,
    cpus: Cpus,
    seen: Seen,
    /// Whether it has been let go, and has not reported.
    pub(super) is_going: bool,
    has_reported: bool,
    is_looked_at: bool,
}

/// The command of a client: this program again.
pub(super) fn command() -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| format!("cannot find the harness: {error}"))?;
    let mut command = Command::new(program);
    clean(command.arg("client"));
    Ok(command)
}

impl ClientProcess {
    /// Starts a client on `cpus` and gives it its order. `hear` is told each message, and `None` at the end of
    /// its stdout, by a thread of its own.
    ///
    /// # Errors
    /// In words, for the row.
    pub(super) fn start(
        command: &mut Command,
        orders: &Orders,
        cpus: Cpus,
        hear: impl Fn(Option<Message>) + Send + 'static,
    ) -> Result<ClientProcess, String> {
        let mut proc =
            Proc::spawn(command, Lifeline::ParentDeath, Some(&cpus)).map_err(|error| format!("{error:#}"))?;
        let mut stdin = proc.take_stdin().ok_or("the client has no stdin")?;
        let stdout = proc.take_stdout().ok_or("the client has no stdout")?;
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str(&line) else { break };
                hear(Some(message));
            }
            hear(None);
        });
        let line = serde_json::to_string(orders).map_err(|error| error.to_string())?;
        // A client that is gone already is noticed when its message does not come.
        _ = writeln!(stdin, "{line}");
        Ok(ClientProcess {
            proc,
            stdin: Some(stdin),
            cpus,
            seen: Seen::default(),
            is_going: false,
            has_reported: false,
            is_looked_at: false,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> i32 {
        self.proc.pid()
    }

    /// Lets the load begin.
    pub(super) fn go(&mut self) {
        self.is_going = true;
        if let Some(stdin) = &mut self.stdin {
            _ = writeln!(stdin, "{GO}");
        }
    }

    /// Asks the client to begin no more requests.
    pub(super) fn stop(&mut self) {
        self.stdin = None;
    }

    /// Looks on which CPUs its threads may run. What has ended by now tells nothing.
    pub(super) fn look(&mut self) {
        let seen = attest::affinity("the client", &[self.pid()], &self.cpus);
        if !seen.cpus.list().is_empty() {
            self.seen = seen;
        }
    }

    /// Looks once after it has begun, when its threads have settled.
    pub(super) fn look_once(&mut self) {
        if self.is_going && !self.is_looked_at {
            self.is_looked_at = true;
            self.look();
        }
    }

    /// Takes note of its report. Returns what was seen of its threads.
    pub(super) fn has_reported(&mut self) -> Seen {
        (self.is_going, self.has_reported) = (false, true);
        self.seen.clone()
    }

    /// Lets it end, or kills it.
    pub(super) fn end(mut self) {
        self.stop();
        if self.proc.wait(GRACE).is_none() {
            self.proc.kill();
        }
    }

    /// How it ended, after its stdout has; `None` if that is in order.
    pub(super) fn death(&mut self) -> Option<String> {
        self.is_going = false;
        if self.has_reported {
            return None;
        }
        let what = match self.proc.wait(GRACE) {
            Some(status) => format!("the client died: {}", describe(status)),
            None => "the client closed its stdout".to_owned(),
        };
        self.proc.kill();
        Some(with_last_lines(&what, &mut self.proc))
    }
}
