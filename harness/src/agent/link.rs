//! The coordinator's end of the pipe to an agent: what is asked, the answers, and what the agent says by itself.

use super::attest::Seen;
use super::messages::{Ask, Hello, Id, Line, Said, VERSION};
use super::spawn::{Proc, describe, with_last_lines};
use load::protocol::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long an agent may take until it says that it is there: a launcher may have to go far.
const HELLO_LIMIT: Duration = Duration::from_secs(60);
/// How long an agent may take to end after its stdin has.
const END_LIMIT: Duration = Duration::from_secs(5);

/// What is heard of a client.
#[derive(Debug)]
pub(super) enum Heard {
    /// It has said something. With its report comes what was seen of its threads.
    Said(Message, Option<Seen>),
    /// It has ended without a report: how, in words.
    Ended(String),
    /// A server has ended.
    Look,
}

/// The pipe to an agent.
pub(super) struct Link {
    writer: Mutex<Option<Box<dyn Write + Send>>>,
    shared: Arc<Shared>,
    next: AtomicU64,
    /// Its process; none in a test, where the agent is a thread.
    proc: Option<Arc<Mutex<Proc>>>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("shared", &self.shared).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    hello: Option<Hello>,
    answers: HashMap<u64, Result<Value, String>>,
    clients: HashMap<Id, Sender<Heard>>,
    ended_servers: HashMap<Id, String>,
    /// Why the agent is gone, if it is.
    gone: Option<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to take out of the state, or the agent is gone.
    fn wait<T>(
        &self,
        until: Option<Instant>,
        mut take: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, String> {
        let mut state = self.state();
        loop {
            if let Some(taken) = take(&mut state) {
                return Ok(taken);
            }
            if let Some(gone) = &state.gone {
                return Err(gone.clone());
            }
            let left = until.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err("the agent says nothing".to_owned());
            }
            state = match until {
                Some(_) => self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Takes a line from the agent.
    fn take(&self, said: Said) {
        let mut state = self.state();
        match said {
            Said::Hello(hello) => state.hello = Some(*hello),
            Said::Answer(number, answer) => _ = state.answers.insert(number, answer),
            // Nobody listens to a client that has been given up.
            Said::Client { client, message, seen } => {
                _ = state.clients.get(&client).map(|sender| sender.send(Heard::Said(*message, seen)));
                return;
            }
            Said::ClientEnded(client, how) => {
                _ = state.clients.get(&client).map(|sender| sender.send(Heard::Ended(how)));
                return;
            }
            Said::ServerEnded(server, how) => {
                state.ended_servers.insert(server, how);
                state.clients.values().for_each(|sender| _ = sender.send(Heard::Look));
                return;
            }
        }
        self.changed.notify_all();
    }

    fn end(&self, why: String) {
        let mut state = self.state();
        state.gone = Some(why);
        // Whoever waits for a client learns that nothing will come.
        state.clients.clear();
        self.changed.notify_all();
    }
}

impl Link {
    /// Talks to the agent that is this process.
    ///
    /// # Errors
    /// In words: it does not say that it is there, or is of another version.
    pub(super) fn to(mut proc: Proc) -> Result<Link, String> {
        let stdin = proc.take_stdin().ok_or("the agent has no stdin")?;
        let stdout = proc.take_stdout().ok_or("the agent has no stdout")?;
        let proc = Arc::new(Mutex::new(proc));
        let of_reader = Arc::clone(&proc);
        Link::over(BufReader::new(stdout), Box::new(stdin), Some(proc), move || {
            let mut proc = of_reader.lock().unwrap_or_else(PoisonError::into_inner);
            let what = match proc.wait(END_LIMIT) {
                Some(status) => format!("the agent ended: {}", describe(status)),
                None => "the agent closed its stdout".to_owned(),
            };
            with_last_lines(&what, &mut proc)
        })
    }

    /// Talks over these. `how_it_ended` is asked at the end of what is read.
    pub(super) fn over(
        reader: impl BufRead + Send + 'static,
        writer: Box<dyn Write + Send>,
        proc: Option<Arc<Mutex<Proc>>>,
        how_it_ended: impl FnOnce() -> String + Send + 'static,
    ) -> Result<Link, String> {
        let shared = Arc::new(Shared::default());
        let of_reader = Arc::clone(&shared);
        thread::spawn(move || {
            let mut what = None;
            for line in reader.lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(said) => of_reader.take(said),
                    Err(_) => {
                        let start: String = line.chars().take(200).collect();
                        what = Some(format!("the agent said something that is no message: {start}"));
                        break;
                    }
                }
            }
            of_reader.end(what.unwrap_or_else(how_it_ended));
        });
        let link = Link { writer: Mutex::new(Some(writer)), shared, next: AtomicU64::new(1), proc };
        let hello = link.shared.wait(Some(Instant::now() + HELLO_LIMIT), |state| state.hello.clone())?;
        if (hello.version, hello.contract.as_str()) != (VERSION, contract::HASH) {
            return Err("its harness is of another version than this one".to_owned());
        }
        Ok(link)
    }

    /// What the agent said first.
    pub(super) fn hello(&self) -> Option<Hello> {
        self.shared.state().hello.clone()
    }

    /// Why the agent is gone, if it is.
    pub(super) fn gone(&self) -> Option<String> {
        self.shared.state().gone.clone()
    }

    /// A number that has not been used before.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, answer: Option<u64>, ask: Ask) {
        let Ok(mut line) = serde_json::to_vec(&Line { answer, ask }) else { return };
        line.push(b'\n');
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = writer.as_mut() {
            // An agent that is gone is noticed by whoever reads.
            _ = writer.write_all(&line).and_then(|()| writer.flush());
        }
    }

    /// Tells the agent to do something, and does not wait for it.
    pub(super) fn tell(&self, ask: Ask) {
        self.send(None, ask);
    }

    /// Asks the agent and waits for its answer.
    ///
    /// # Errors
    /// In words: the agent's own, or that it is gone.
    pub(super) fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, String> {
        let number = self.number();
        self.send(Some(number), ask);
        let answer = self.shared.wait(None, |state| state.answers.remove(&number))??;
        serde_json::from_value(answer).map_err(|error| format!("the agent's answer is none: {error}"))
    }

    /// Listens to a client from now on.
    pub(super) fn listen_to(&self, client: Id) -> Receiver<Heard> {
        let (sender, receiver) = channel();
        let mut state = self.shared.state();
        if state.gone.is_none() {
            state.clients.insert(client, sender);
        }
        receiver
    }

    /// Listens to a client no longer.
    pub(super) fn leave(&self, client: Id) {
        self.shared.state().clients.remove(&client);
    }

    /// How a server ended, if it has.
    pub(super) fn end_of(&self, server: Id) -> Option<String> {
        self.shared.state().ended_servers.get(&server).cloned()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // With its stdin the agent ends.
        *self.writer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(proc) = &self.proc {
            let mut proc = proc.lock().unwrap_or_else(PoisonError::into_inner);
            if proc.wait(END_LIMIT).is_none() {
                proc.kill();
            }
        }
    }
}
