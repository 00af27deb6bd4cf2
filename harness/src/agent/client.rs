//! A client as the coordinator has it: its order, its readiness, its report. The process is its agent's.

use super::attest::Seen;
use super::handles::Agent;
use super::link::Heard;
use super::messages::{Ask, Id};
use crate::host::cpus::Cpus;
use load::protocol::{Amount, Mark, Message, Orders, Report};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a client may take to set itself up.
const SET_UP_LIMIT: Duration = Duration::from_secs(20);
/// How long a client may take to report after its last request can have ended.
const GRACE: Duration = Duration::from_secs(5);
/// How long a client may take beyond the time in which it must report, or begin another request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked whether to go on while a client says nothing.
const TICK: Duration = Duration::from_millis(100);

/// What happens while a client works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing, for some time, or something about a server.
    Tick,
    /// A moment of a measured phase has come.
    Mark(Mark),
    /// It has reported, and is about to end.
    Reported,
}

/// A client with an order. Dropping it kills it.
#[derive(Debug)]
pub struct ClientHandle {
    agent: Agent,
    id: Id,
    messages: Receiver<Heard>,
    request_limit: Duration,
    /// How long its phases take together.
    phases: Duration,
    patience: Duration,
    seen: Seen,
    is_over: bool,
}

impl ClientHandle {
    /// Starts a client on `cpus` of the agent's host and gives it its order.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn start(agent: &Agent, orders: Orders, cpus: &Cpus) -> Result<ClientHandle, String> {
        let (phases, request_limit) = match &orders {
            Orders::Load(order) => (time_of(&order.load.amount), order.timeout),
            // It says after each piece that it goes on.
            Orders::Turns(turns) => (
                turns.pieces.iter().map(|piece| piece.duration).max().unwrap_or_default(),
                turns.orders.iter().map(|order| order.timeout).max().unwrap_or_default(),
            ),
        };
        let client = agent.link().number();
        let mut handle = ClientHandle {
            agent: agent.clone(),
            id: client,
            messages: agent.link().listen_to(client),
            request_limit,
            phases,
            patience: PATIENCE,
            seen: Seen::default(),
            is_over: true,
        };
        let (orders, cpus) = (Box::new(orders), cpus.clone());
        agent.link().ask::<()>(Ask::StartClient { client, orders, cpus })?;
        handle.is_over = false;
        Ok(handle)
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

    /// Waits until a load in the background is under way, after its go.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn wait_until_holding(&mut self) -> Result<(), String> {
        match self.message(SET_UP_LIMIT)? {
            Message::Holding => Ok(()),
            Message::Report(report) => {
                Err(report.first_error.unwrap_or_else(|| "the load could not be held".to_owned()))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Its name with its agent.
    pub fn id(&self) -> Id {
        self.id
    }

    /// What was seen of its threads, once it has reported.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Lets the load begin.
    pub fn go(&self) {
        self.agent.link().tell(Ask::Go(self.id));
    }

    /// Asks the client to begin no more requests.
    pub fn stop(&self) {
        self.agent.link().tell(Ask::StopClient(self.id));
    }

    /// Waits for the report. Meanwhile `on` is told what happens, at once, and asked whether to go on:
    /// when it says no, the client is told to stop, and reports what it has.
    ///
    /// # Errors
    /// In words, for the row: the client died, or did not report in time and was killed. A client that makes
    /// a number of requests has time as long as it begins them.
    pub fn report(&mut self, mut on: impl FnMut(Event) -> bool) -> Result<Report, String> {
        let limit = self.phases + self.request_limit + self.patience;
        let (mut since, mut begun) = (Instant::now(), 0);
        let mut stopped: Option<Instant> = None;
        loop {
            let event = match self.hear(TICK)? {
                Some(Message::Report(report)) => {
                    on(Event::Reported);
                    self.end();
                    return Ok(*report);
                }
                Some(Message::Mark(mark)) => Event::Mark(mark),
                Some(Message::Progress(requests)) => {
                    if requests > begun {
                        (since, begun) = (Instant::now(), requests);
                    }
                    Event::Tick
                }
                Some(other) => return Err(unexpected(&other)),
                None => Event::Tick,
            };
            let go_on = on(event);
            match stopped {
                None if !go_on => {
                    self.stop();
                    stopped = Some(Instant::now());
                }
                Some(since) if since.elapsed() > self.request_limit + GRACE => {
                    self.kill();
                    return Err("the client did not stop and was killed".into());
                }
                _ if since.elapsed() > limit => {
                    self.kill();
                    let seconds = limit.as_secs_f64();
                    return Err(format!("the client made no progress for {seconds:.1} s and was killed"));
                }
                _ => {}
            }
        }
    }

    /// Ends a load in the background and returns its report: a first error in it says that the load broke
    /// off.
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
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.hear(left)? {
                Some(message) => return Ok(message),
                None if left.is_zero() => {
                    self.kill();
                    return Err(format!("the client said nothing for {} s and was killed", limit.as_secs()));
                }
                None => {}
            }
        }
    }

    /// What the client says; `None` if it has said nothing for so long, or there is something about a server.
    fn hear(&mut self, limit: Duration) -> Result<Option<Message>, String> {
        match self.messages.recv_timeout(limit) {
            Ok(Heard::Said(message, seen)) => {
                self.seen = seen.unwrap_or_default();
                Ok(Some(message))
            }
            Ok(Heard::Ended(how)) => {
                self.kill();
                Err(how)
            }
            Ok(Heard::Look) | Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                Err(self.agent.gone().unwrap_or_else(|| "the client is gone".to_owned()))
            }
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        // Waited for: afterwards its connections are closed. An agent that is gone has ended it.
        _ = self.agent.link().ask::<()>(Ask::EndClient(self.id));
    }

    fn kill(&mut self) {
        self.is_over = true;
        self.agent.link().tell(Ask::Forget(self.id));
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        self.agent.link().leave(self.id);
        if !self.is_over {
            self.kill();
        }
    }
}

/// How long a load takes, where it takes a time.
fn time_of(amount: &Amount) -> Duration {
    match amount {
        Amount::Time(phases) => phases.iter().map(|phase| phase.duration).sum(),
        Amount::Requests(_) | Amount::UntilStopped => Duration::ZERO,
    }
}

fn unexpected(message: &Message) -> String {
    match message {
        Message::Refused(why) => format!("the client cannot do that: {why}"),
        other => format!("the client said something unexpected: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::in_thread;
    use load::protocol::{
        Arrivals, Client, Connections, Driver, Expect, ExpectBody, Load, Moment, Order, PhaseTime, Request,
        Share,
    };
    use std::process::Command;

    const BEGIN: Mark = Mark { part: 0, moment: Moment::Begin };
    const HALF: Mark = Mark { part: 0, moment: Moment::Half };
    const END: Mark = Mark { part: 0, moment: Moment::End };

    /// A client that says what this shell script makes it say, with an agent that is a thread. `$ready`, `$begin`,
    /// `$half`, `$end`, `$one` and `$two` (requests begun) and `$report` are its messages.
    fn client(script: &str, report: Report) -> ClientHandle {
        client_for(Amount::UntilStopped, script, report)
    }

    /// The same with an order for so much load, whose requests may take a second.
    fn client_for(amount: Amount, script: &str, report: Report) -> ClientHandle {
        let order = Order {
            addr: ([127, 0, 0, 1], 1).into(),
            host: String::new(),
            request: Request::get("/"),
            expect: Expect { status: 200, body: ExpectBody::Any },
            timeout: Duration::from_secs(1),
            load: Load {
                client: Client::Engine,
                arrivals: Arrivals::Closed { in_flight: 1 },
                connections: Connections::Kept(1),
                amount,
            },
            seed: 0,
            share: Share::default(),
            driver: Driver::Auto,
            cpus: Vec::new(),
            spin: Duration::ZERO,
            mutation: None,
        };
        let messages = [
            ("ready", Message::Ready),
            ("begin", Message::Mark(BEGIN)),
            ("half", Message::Mark(HALF)),
            ("end", Message::Mark(END)),
            ("one", Message::Progress(1)),
            ("two", Message::Progress(2)),
            ("report", Message::Report(Box::new(report))),
        ]
        .map(|(name, message)| (name, serde_json::to_string(&message).expect("serializes")));
        let script = format!("read order; echo \"$ready\"; read go; {script}");
        let agent = in_thread(move || {
            let mut command = Command::new("sh");
            command.args(["-c", &script]).envs(messages.clone());
            Ok(command)
        });
        let cpus = Cpus::allowed().expect("affinity");
        let mut client = ClientHandle::start(&agent, Orders::Load(Box::new(order)), &cpus).expect("sh");
        client.wait_until_ready().expect("it says so");
        client.go();
        client
    }

    /// What the events of a client's load are, apart from ticks, with when they came, and what became of it.
    fn watched(client: &mut ClientHandle) -> (Vec<(Event, Instant)>, Result<Report, String>) {
        let mut events = Vec::new();
        let report = client.report(|event| {
            if event != Event::Tick {
                events.push((event, Instant::now()));
            }
            true
        });
        (events, report)
    }

    #[test]
    fn marks_are_handed_on_when_they_come() {
        let script = "echo \"$begin\"; sleep 0.1; echo \"$half\"; sleep 0.1; echo \"$end\"; echo \"$report\"";
        let mut client = client(script, Report::default());
        let (events, report) = watched(&mut client);
        let (events, at): (Vec<Event>, Vec<Instant>) = events.into_iter().unzip();
        let marks = [BEGIN, HALF, END].map(Event::Mark);
        assert_eq!(events, [&marks[..], &[Event::Reported]].concat());
        assert_eq!(report, Ok(Report::default()));
        for half in [at[1] - at[0], at[2] - at[1]] {
            assert!(half > Duration::from_millis(50), "{at:?}");
        }
        let cpus = Cpus::allowed().expect("affinity");
        assert_eq!(client.seen(), &Seen { cpus, problems: Vec::new() });
    }

    #[test]
    fn a_client_that_dies_tells_how() {
        let mut dead = client("echo \"$begin\"; echo out of rope >&2; exit 3", Report::default());
        let (events, report) = watched(&mut dead);
        assert_eq!(events.into_iter().map(|(event, _)| event).collect::<Vec<_>>(), [Event::Mark(BEGIN)]);
        let problem = report.expect_err("it died");
        assert!(problem.contains("exit status 3") && problem.contains("out of rope"), "{problem}");
    }

    #[test]
    fn a_client_that_is_told_to_stop_may_still_report() {
        let mut client = client("read closed; echo \"$report\"", Report::default());
        let report = client.report(|event| event != Event::Tick);
        assert_eq!(report, Ok(Report::default()));
    }

    #[test]
    fn a_client_that_never_reports_is_killed() {
        let phase = |ms, measured| PhaseTime { duration: Duration::from_millis(ms), scale: 1.0, measured };
        let start = Instant::now();
        let mut silent = client_for(
            Amount::Time(vec![phase(100, false), phase(200, true)]),
            "echo \"$begin\"; echo \"$half\"; echo \"$end\"; sleep 1000",
            Report::default(),
        );
        silent.patience = Duration::from_millis(100);
        let problem = silent.report(|_| true).expect_err("it never reports");
        assert!(problem.contains("no progress for 1.4 s and was killed"), "{problem}");
        assert!(start.elapsed() >= Duration::from_millis(1400), "its phases and a request may take that");
    }

    #[test]
    fn a_client_that_makes_requests_has_time_as_long_as_it_begins_them() {
        let requests = || Amount::Requests(2);
        let slow = "sleep 0.9; echo \"$one\"; sleep 0.9; echo \"$two\"; sleep 0.9; echo \"$report\"";
        let mut client = client_for(requests(), slow, Report::default());
        client.patience = Duration::from_millis(700);
        assert_eq!(client.report(|_| true), Ok(Report::default()));
        // Its main thread is well, and its requests hang.
        let stuck = "while :; do echo \"$one\"; sleep 0.1; done";
        let mut client = client_for(requests(), stuck, Report::default());
        client.patience = Duration::from_millis(100);
        let problem = client.report(|_| true).expect_err("it begins no second request");
        assert!(problem.contains("no progress for 1.1 s"), "{problem}");
    }
}
