//! Driving a client process: its order, its readiness, its report.

use super::cpus::Cpus;
use super::spawn::{Lifeline, Proc, describe, with_last_lines};
use crate::load::protocol::{GO, Mark, Message, Order, Report};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take to set itself up.
const SET_UP_LIMIT: Duration = Duration::from_secs(20);
/// How long a client may take to report after its last request can have ended.
const GRACE: Duration = Duration::from_secs(5);
/// How often the server is looked at while the client works.
pub const WATCH: Duration = Duration::from_millis(25);

/// What happens while a client works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing, for the time of [`WATCH`].
    Tick,
    /// A moment of its measured time has come.
    Mark(Mark),
    /// It has reported, and is about to end.
    Reported,
}

/// A client process with an order.
#[derive(Debug)]
pub struct ClientProcess {
    proc: Proc,
    stdin: Option<ChildStdin>,
    messages: Receiver<Message>,
    request_limit: Duration,
}

impl ClientProcess {
    /// Starts a client on `cpus` and gives it its order.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn start(order: &Order, cpus: &Cpus) -> Result<ClientProcess, String> {
        let program = std::env::current_exe().map_err(|error| format!("cannot find the harness: {error}"))?;
        ClientProcess::start_program(Command::new(program).arg("client"), order, cpus)
    }

    fn start_program(command: &mut Command, order: &Order, cpus: &Cpus) -> Result<ClientProcess, String> {
        let mut proc =
            Proc::spawn(command, Lifeline::ParentDeath, Some(cpus)).map_err(|error| format!("{error:#}"))?;
        let mut stdin = proc.take_stdin().ok_or("the client has no stdin")?;
        let stdout = proc.take_stdout().ok_or("the client has no stdout")?;
        let (sender, messages) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str(&line) else { return };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let line = serde_json::to_string(order).map_err(|error| error.to_string())?;
        // A client that is gone already is noticed when its message does not come.
        _ = writeln!(stdin, "{line}");
        Ok(ClientProcess { proc, stdin: Some(stdin), messages, request_limit: order.timeout })
    }

    /// Waits until the client is set up and waits for its go.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        match self.message(SET_UP_LIMIT)? {
            Message::Ready => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits until an interfering client has all its requests in flight.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn wait_until_holding(&mut self) -> Result<(), String> {
        match self.message(SET_UP_LIMIT + self.request_limit)? {
            Message::Holding => Ok(()),
            Message::Report(report) => {
                Err(report.first_error.unwrap_or_else(|| "the requests could not be held".to_owned()))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.proc.pid()
    }

    /// Lets the load begin.
    pub fn go(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            _ = writeln!(stdin, "{GO}");
        }
    }

    /// Asks the client to begin no more requests.
    pub fn stop(&mut self) {
        self.stdin = None;
    }

    /// Waits for the report. Meanwhile `on` is told what happens, at once, and asked whether to go on:
    /// when it says no, the client is told to stop, and reports what it has.
    ///
    /// # Errors
    /// In words, for the row: the client died, or never reported.
    pub fn report(&mut self, mut on: impl FnMut(Event) -> bool) -> Result<Report, String> {
        let mut stopped: Option<Instant> = None;
        loop {
            let event = match self.messages.recv_timeout(WATCH) {
                Ok(Message::Report(report)) => {
                    on(Event::Reported);
                    self.end();
                    return Ok(*report);
                }
                Ok(Message::Mark(mark)) => Event::Mark(mark),
                Ok(other) => return Err(unexpected(&other)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.death()),
                Err(RecvTimeoutError::Timeout) => Event::Tick,
            };
            let go_on = on(event);
            match stopped {
                None if !go_on => {
                    self.stop();
                    stopped = Some(Instant::now());
                }
                Some(since) if since.elapsed() > self.request_limit + GRACE => {
                    self.proc.kill();
                    return Err("the client did not stop and was killed".into());
                }
                _ => {}
            }
        }
    }

    /// Ends an interfering client and returns its report.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn end_holding(&mut self) -> Result<Report, String> {
        self.stop();
        match self.message(GRACE)? {
            Message::Report(report) => {
                self.end();
                Ok(*report)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn message(&mut self, limit: Duration) -> Result<Message, String> {
        match self.messages.recv_timeout(limit) {
            Ok(message) => Ok(message),
            Err(RecvTimeoutError::Disconnected) => Err(self.death()),
            Err(RecvTimeoutError::Timeout) => {
                self.proc.kill();
                Err(format!("the client said nothing for {} s and was killed", limit.as_secs()))
            }
        }
    }

    fn end(&mut self) {
        self.stop();
        if self.proc.wait(GRACE).is_none() {
            self.proc.kill();
        }
    }

    fn death(&mut self) -> String {
        let what = match self.proc.wait(GRACE) {
            Some(status) => format!("the client died: {}", describe(status)),
            None => "the client closed its stdout".to_owned(),
        };
        self.proc.kill();
        with_last_lines(&what, &mut self.proc)
    }
}

fn unexpected(message: &Message) -> String {
    match message {
        Message::Refused(why) => format!("the client cannot do that: {why}"),
        other => format!("the client said something unexpected: {other:?}"),
    }
}
