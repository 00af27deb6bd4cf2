//! The agent's process: reads what it is asked on stdin, does it, and says on stdout what came of it.
//!
//! It ends when its stdin does, at once and whatever it is doing; its children end with it. They are started by
//! the thread that [`run`] is called on, since the kernel ends them when that thread ends.

use super::client_process::{self, ClientProcess};
use super::messages::{Ask, Hello, Id, Line, Said, ServerStart, Started, VERSION};
use super::server::Server;
use super::watch::{Held, Watch};
use super::{ask, cache, equal_work, lease, placement};
use crate::host::cpus::Cpus;
use crate::host::files;
use crate::host::machine::Machine;
use anyhow::{Context as _, Result};
use load::protocol::{Message, Moment};
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, BufReader, Write};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often servers, threads and processes are looked at while a client works.
const LOOK: Duration = Duration::from_millis(25);

/// What the agent's one working thread is told.
enum Incoming {
    /// A line from the coordinator.
    Line(String),
    /// A client has said something, or has closed its stdout.
    Client(Id, Option<Message>),
    /// The coordinator is gone.
    End,
}

/// How a client process is started.
pub(super) type ClientCommand = Box<dyn Fn() -> Result<Command, String> + Send>;

/// Serves the coordinator on stdin and stdout until stdin ends. Over a network, with `leased`, also until nothing has
/// been heard of it for some time.
///
/// # Errors
/// The host does not say what it has.
pub fn run(leased: bool) -> Result<()> {
    // Wherever the working thread is: it may be waiting for a server.
    let end = || std::process::exit(0);
    serve(BufReader::new(io::stdin()), io::stdout(), Box::new(client_process::command), end, leased)
}

/// Serves until `input` ends. Then `at_end` is called, on the thread that reads.
///
/// # Errors
/// The host does not say what it has.
pub(super) fn serve(
    input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    client_command: ClientCommand,
    at_end: impl FnOnce() + Send + 'static,
    leased: bool,
) -> Result<()> {
    let hello = hello()?;
    let (tell, inbox) = channel();
    let lines = tell.clone();
    let heard = Arc::new(lease::Heard::now());
    let of_reader = Arc::clone(&heard);
    thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            of_reader.again();
            // An empty one only says that the coordinator is still there.
            if !line.is_empty() && lines.send(Incoming::Line(line)).is_err() {
                break;
            }
        }
        at_end();
        _ = lines.send(Incoming::End);
    });
    let output = Arc::new(Mutex::new(output));
    if leased {
        let output = Arc::clone(&output);
        thread::spawn(move || keep_lease(&output, &heard));
    }
    let mut agent = Agent {
        output,
        tell,
        client_command,
        servers: HashMap::new(),
        clients: HashMap::new(),
        watches: HashMap::new(),
        dead: HashSet::new(),
        next_look: Instant::now(),
    };
    agent.say(&Said::Hello(Box::new(hello)));
    agent.work(&inbox);
    Ok(())
}

/// Says every few seconds that the agent is still there, and ends it when the coordinator no longer does.
fn keep_lease(output: &Mutex<impl Write>, heard: &lease::Heard) {
    loop {
        thread::sleep(lease::EVERY);
        if heard.is_over() {
            eprintln!("nothing was heard of the coordinator for {} s", lease::LIMIT.as_secs());
            std::process::exit(1);
        }
        // Whoever holds it says something, or cannot.
        if let Ok(mut output) = output.try_lock() {
            write(&mut *output, &Said::Alive);
        }
    }
}

fn write(output: &mut impl Write, said: &Said) {
    let Ok(mut line) = serde_json::to_vec(said) else { return };
    line.push(b'\n');
    // A coordinator that is gone is noticed when its line ends.
    _ = output.write_all(&line).and_then(|()| output.flush());
}

/// What the agent says first. From here on it may have as many files open as the host allows.
fn hello() -> Result<Hello> {
    // Clients and servers inherit it.
    let open_files = files::raise_limit().context("cannot raise the limit of open files")?;
    Ok(Hello {
        version: VERSION,
        contract: contract::HASH.to_owned(),
        pid: std::process::id(),
        machine: Machine::read(),
        cores: placement::cores().map_err(anyhow::Error::msg)?,
        open_files,
    })
}

struct Agent<W> {
    output: Arc<Mutex<W>>,
    tell: Sender<Incoming>,
    client_command: ClientCommand,
    servers: HashMap<Id, Held>,
    clients: HashMap<Id, ClientProcess>,
    watches: HashMap<Id, Watch>,
    /// The servers whose end has been told.
    dead: HashSet<Id>,
    next_look: Instant,
}

impl<W: Write> Agent<W> {
    fn work(&mut self, inbox: &Receiver<Incoming>) {
        loop {
            let incoming = match self.clients.values().any(|client| client.is_going) {
                true => inbox.recv_timeout(self.next_look.saturating_duration_since(Instant::now())),
                false => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match incoming {
                Ok(Incoming::Line(line)) => self.take(&line),
                Ok(Incoming::Client(client, Some(message))) => self.heard(client, message),
                Ok(Incoming::Client(client, None)) => self.closed(client),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Ok(Incoming::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn say(&self, said: &Said) {
        write(&mut *self.output.lock().unwrap_or_else(PoisonError::into_inner), said);
    }

    fn take(&mut self, line: &str) {
        let (answer, outcome) = match serde_json::from_str(line) {
            Ok(Line { answer, ask }) => (answer, self.answer(ask)),
            Err(error) => (None, Err(format!("{error}: {line}"))),
        };
        match (answer, outcome) {
            (Some(number), outcome) => self.say(&Said::Answer(number, outcome)),
            (None, Err(problem)) => eprintln!("{problem}"),
            (None, Ok(_)) => {}
        }
    }

    fn answer(&mut self, ask: Ask) -> Result<Value, String> {
        match ask {
            Ask::Find { name, hash, path } => value(cache::find(&name, &hash, &path)?),
            Ask::Put { name, hash, piece, is_first, is_last } => {
                value(cache::put(&name, &hash, &piece, is_first, is_last)?)
            }
            Ask::StartServer { server, start } => {
                let ServerStart { def, program, processes, options } = *start;
                let cpus = options.cpus.clone().map_or_else(Cpus::allowed, Ok)?;
                let started = Server::start(&def, program.as_ref(), processes, &options)?;
                let answer = Started {
                    addr: started.addr,
                    ready: started.ready().cloned(),
                    worker_threads: started.worker_threads(),
                    blocking_threads: started.blocking_threads(),
                };
                self.servers.insert(server, Held { server: started, cpus, idle: Vec::new() });
                value(answer)
            }
            Ask::Pids(server) => value(self.server(server)?.pids()),
            Ask::Verify { server, level } => {
                let server = self.server(server)?;
                value(ask::check(server.def(), server.addr, level)?)
            }
            Ask::Hold { server, connections } => {
                let held = self.servers.get_mut(&server).ok_or(NO_SERVER)?;
                let replayed = ask::hold(held.server.def(), held.server.addr, connections)?;
                held.idle = ask::idle(held.server.addr, connections.min(IDLE_AT_END))?;
                value(replayed)
            }
            Ask::ProbeDeclared { server, timeout } => {
                let server = self.server(server)?;
                value(ask::declared(server.def(), server.addr, timeout)?)
            }
            Ask::Probe { addr, host, request, timeout } => value(ask::twice(addr, &host, &request, timeout)?),
            Ask::Delay { addr, request, requests, timeout } => {
                value(load::delay(addr, &addr.to_string(), &request, requests, timeout)?)
            }
            Ask::EqualWork(servers) => {
                let find = |(name, id): &(String, Id)| Ok((name.clone(), self.server(*id)?));
                let servers: Vec<(String, &Server)> =
                    servers.iter().map(find).collect::<Result<_, String>>()?;
                value(equal_work::measure(&servers).map_err(|error| format!("{error:#}"))?)
            }
            Ask::StopServer { server, cut_off } => {
                let held = self.servers.remove(&server).ok_or(NO_SERVER)?;
                value(held.server.stop(cut_off)?)
            }
            Ask::StartClient { client, orders, cpus } => {
                let tell = self.tell.clone();
                let hear = move |message| _ = tell.send(Incoming::Client(client, message));
                let started = ClientProcess::start(&mut (self.client_command)()?, &orders, cpus, hear)?;
                self.clients.insert(client, started);
                Ok(Value::Null)
            }
            Ask::Go(client) => {
                self.next_look = Instant::now() + LOOK;
                self.client(client, ClientProcess::go)
            }
            Ask::StopClient(client) => self.client(client, ClientProcess::stop),
            Ask::EndClient(client) => {
                if let Some(process) = self.clients.remove(&client) {
                    process.end();
                }
                Ok(Value::Null)
            }
            Ask::Watch { watch, spec } => {
                let opened = Watch::open(*spec, &self.servers, &self.clients)?;
                let meter = opened.meter();
                self.watches.insert(watch, opened);
                value(meter)
            }
            Ask::Begin(watch) => {
                self.watches.get_mut(&watch).ok_or(NO_WATCH)?.begin();
                Ok(Value::Null)
            }
            Ask::Mark(watch, mark) => {
                self.watches.get_mut(&watch).ok_or(NO_WATCH)?.mark(mark, &self.servers);
                Ok(Value::Null)
            }
            Ask::Close { watch, halves } => {
                value(self.watches.remove(&watch).ok_or(NO_WATCH)?.close(halves.as_deref()))
            }
            Ask::Forget(id) => {
                self.watches.remove(&id);
                // Dropping a process kills it.
                self.clients.remove(&id);
                self.servers.remove(&id);
                Ok(Value::Null)
            }
        }
    }

    fn server(&self, id: Id) -> Result<&Server, String> {
        self.servers.get(&id).map(|held| &held.server).ok_or_else(|| NO_SERVER.to_owned())
    }

    /// Does something with a client, if it is still there.
    fn client(&mut self, id: Id, what: impl FnOnce(&mut ClientProcess)) -> Result<Value, String> {
        self.clients.get_mut(&id).map(what);
        Ok(Value::Null)
    }

    fn heard(&mut self, client: Id, message: Message) {
        let Some(process) = self.clients.get_mut(&client) else { return };
        let seen = match &message {
            Message::Report(_) => Some(process.has_reported()),
            Message::Ready => {
                process.look();
                None
            }
            _ => None,
        };
        let is_half = matches!(&message, Message::Mark(mark) if mark.moment == Moment::Half);
        self.say(&Said::Client { client, message: Box::new(message), seen });
        // After that, since somebody waits for the mark.
        if is_half && let Some(process) = self.clients.get_mut(&client) {
            process.look();
        }
    }

    fn closed(&mut self, client: Id) {
        if let Some(how) = self.clients.get_mut(&client).and_then(ClientProcess::death) {
            self.say(&Said::ClientEnded(client, how));
        }
    }

    /// Looks at everything that may change while a client works.
    fn look(&mut self) {
        self.next_look = Instant::now() + LOOK;
        self.watches.values_mut().for_each(Watch::look);
        self.clients.values_mut().for_each(ClientProcess::look_once);
        let ended: Vec<(Id, String)> = self
            .servers
            .iter_mut()
            .filter(|(id, _)| !self.dead.contains(id))
            .filter_map(|(id, held)| Some((*id, held.server.died()?)))
            .collect();
        for (server, how) in ended {
            self.dead.insert(server);
            self.say(&Said::ServerEnded(server, how));
        }
    }
}

/// How many connections are idle when a server is stopped that was held on to.
const IDLE_AT_END: usize = 1000;

const NO_SERVER: &str = "there is no such server";
const NO_WATCH: &str = "there is no such watch";

fn value(answer: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}
