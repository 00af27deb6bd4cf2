//! The coordinator's end of the pipe to an agent: what is asked, the answers, and what the agent says by itself.

use super::attest::Seen;
use super::lease;
use super::messages::{Ask, Hello, Id, Line, Said, VERSION};
use super::spawn::{Proc, describe, with_last_lines};
use load::protocol::Message;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
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
    writer: Arc<Mutex<Option<Box<dyn Write + Send>>>>,
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
            Said::Alive => return,
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
        // The first reason is the one.
        state.gone.get_or_insert(why);
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
        Link::to_reader(proc, BufReader::new(stdout), stdin, false)
    }

    /// Talks to an agent behind the launcher that is this process. Over a network it is `leased`: each end notices
    /// when it has heard nothing of the other for some time.
    ///
    /// # Errors
    /// In words: it does not say that it is there, or is of another version.
    pub(super) fn to_reader(
        proc: Proc,
        reader: BufReader<ChildStdout>,
        stdin: ChildStdin,
        leased: bool,
    ) -> Result<Link, String> {
        let proc = Arc::new(Mutex::new(proc));
        let of_reader = Arc::clone(&proc);
        Link::over(reader, Box::new(stdin), Some(proc), leased, move || {
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
        leased: bool,
        how_it_ended: impl FnOnce() -> String + Send + 'static,
    ) -> Result<Link, String> {
        let shared = Arc::new(Shared::default());
        let of_reader = Arc::clone(&shared);
        let heard = Arc::new(lease::Heard::now());
        let heard_by_reader = Arc::clone(&heard);
        thread::spawn(move || {
            let mut what = None;
            for line in reader.lines().map_while(Result::ok) {
                heard_by_reader.again();
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
        let writer = Arc::new(Mutex::new(Some(writer)));
        if leased {
            let (writer, shared, proc) = (Arc::downgrade(&writer), Arc::clone(&shared), proc.clone());
            thread::spawn(move || keep_lease(&writer, &shared, proc.as_deref(), &heard));
        }
        let link = Link { writer, shared, next: AtomicU64::new(1), proc };
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

/// Says every few seconds that the coordinator is still there, until the link is gone. If the agent no longer does,
/// the link ends.
fn keep_lease(
    writer: &Weak<Mutex<Option<Box<dyn Write + Send>>>>,
    shared: &Shared,
    proc: Option<&Mutex<Proc>>,
    heard: &lease::Heard,
) {
    loop {
        thread::sleep(lease::EVERY);
        let Some(writer) = writer.upgrade() else { return };
        if heard.is_over() {
            shared.end(format!("nothing was heard of the agent for {} s", lease::LIMIT.as_secs()));
            if let Some(proc) = proc {
                // Its launcher would wait for much longer.
                proc.lock().unwrap_or_else(PoisonError::into_inner).kill();
            }
            return;
        }
        // Whoever holds it says something, or cannot.
        if let Ok(mut writer) = writer.try_lock()
            && let Some(writer) = writer.as_mut()
        {
            _ = writer.write_all(b"\n").and_then(|()| writer.flush());
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeReader, PipeWriter, pipe};

    fn hello(version: u32) -> String {
        let hello = Hello {
            version,
            contract: contract::HASH.to_owned(),
            pid: 1,
            machine: crate::host::machine::Machine::read(),
            cores: vec![(0, 0)],
            open_files: 1024,
        };
        serde_json::to_string(&Said::Hello(Box::new(hello))).expect("serializes")
    }

    /// A link to an agent that has said `said`, and both of the agent's ends.
    fn link(said: &str) -> (Result<Link, String>, PipeReader, PipeWriter) {
        let (asked, ask) = pipe().expect("a pipe");
        let (its, mut say) = pipe().expect("a pipe");
        say.write_all(format!("{said}\n").as_bytes()).expect("room");
        let link = Link::over(BufReader::new(its), Box::new(ask), None, false, || "it fell".to_owned());
        (link, asked, say)
    }

    #[test]
    fn an_agent_of_another_version_is_refused() {
        let (link, ..) = link(&hello(VERSION + 1));
        assert!(link.expect_err("another").contains("another version"));
        let (link, ..) = self::link("bash: harness: command not found");
        assert!(link.expect_err("no message").contains("that is no message: bash: harness"));
    }

    #[test]
    fn whoever_waits_for_an_agent_that_is_gone_learns_why() {
        let (link, mut asked, say) = link(&hello(VERSION));
        let link = link.expect("it says hello");
        let client = link.listen_to(7);
        let gone = thread::scope(|scope| {
            let waiting = scope.spawn(|| link.ask::<()>(Ask::Pids(1)));
            let mut line = String::new();
            BufReader::new(&mut asked).read_line(&mut line).expect("it was asked");
            assert!(line.contains("pids"), "{line}");
            drop(say);
            waiting.join().expect("no panic")
        });
        assert_eq!(gone, Err("it fell".to_owned()));
        assert!(client.recv().is_err(), "nothing will come");
        assert_eq!(
            (link.gone().as_deref(), link.ask::<()>(Ask::Pids(1))),
            (Some("it fell"), Err("it fell".into()))
        );
        // Whoever listens only now waits for nothing either.
        assert!(link.listen_to(8).recv().is_err());
    }

    #[test]
    fn an_answer_comes_to_whoever_asked() {
        let (link, mut asked, mut say) = link(&hello(VERSION));
        let link = link.expect("it says hello");
        let heard = link.listen_to(3);
        let answer = thread::scope(|scope| {
            let waiting = scope.spawn(|| link.ask::<Vec<i32>>(Ask::Pids(9)));
            let mut line = String::new();
            BufReader::new(&mut asked).read_line(&mut line).expect("it was asked");
            let asked: Line = serde_json::from_str(&line).expect("a line");
            let answer = Said::Answer(asked.answer.expect("waited for"), Ok(serde_json::json!([4, 5])));
            for said in [Said::ServerEnded(2, "of old age".into()), Said::Alive, answer] {
                let line = serde_json::to_string(&said).expect("serializes");
                say.write_all(format!("{line}\n").as_bytes()).expect("room");
            }
            waiting.join().expect("no panic")
        });
        assert_eq!(answer, Ok(vec![4, 5]));
        assert_eq!((link.end_of(2).as_deref(), link.end_of(1)), (Some("of old age"), None));
        assert!(matches!(heard.recv(), Ok(Heard::Look)));
    }
}
