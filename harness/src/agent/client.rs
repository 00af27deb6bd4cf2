//! Driving a client process: its order, its readiness, its report.

use super::spawn::{Lifeline, Proc, clean, describe, with_last_lines};
use crate::host::cpus::Cpus;
use load::protocol::{Amount, GO, Mark, Message, Orders, Report};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take to set itself up.
const SET_UP_LIMIT: Duration = Duration::from_secs(20);
/// How long a client may take to report after its last request can have ended.
const GRACE: Duration = Duration::from_secs(5);
/// How long a client may take beyond the time in which it must report, or begin another request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the server is looked at while the client works.
pub const WATCH: Duration = Duration::from_millis(25);

/// What happens while a client works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing, for the time of [`WATCH`].
    Tick,
    /// A moment of a measured phase has come.
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
    /// How long its phases take together.
    phases: Duration,
    patience: Duration,
}

impl ClientProcess {
    /// Starts a client on `cpus` and gives it its order.
    ///
    /// # Errors
    /// In words, for the row.
    pub fn start(orders: &Orders, cpus: &Cpus) -> Result<ClientProcess, String> {
        let program = std::env::current_exe().map_err(|error| format!("cannot find the harness: {error}"))?;
        let mut command = Command::new(program);
        clean(command.arg("client"));
        ClientProcess::start_program(&mut command, orders, cpus)
    }

    fn start_program(command: &mut Command, orders: &Orders, cpus: &Cpus) -> Result<ClientProcess, String> {
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
        let line = serde_json::to_string(orders).map_err(|error| error.to_string())?;
        // A client that is gone already is noticed when its message does not come.
        _ = writeln!(stdin, "{line}");
        let (phases, request_limit) = match orders {
            Orders::Load(order) => (time_of(&order.load.amount), order.timeout),
            // It says after each piece that it goes on.
            Orders::Turns(turns) => (
                turns.pieces.iter().map(|piece| piece.duration).max().unwrap_or_default(),
                turns.orders.iter().map(|order| order.timeout).max().unwrap_or_default(),
            ),
        };
        let stdin = Some(stdin);
        Ok(ClientProcess { proc, stdin, messages, request_limit, phases, patience: PATIENCE })
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
    /// In words, for the row: the client died, or did not report in time and was killed. A client that makes
    /// a number of requests has time as long as it begins them.
    pub fn report(&mut self, mut on: impl FnMut(Event) -> bool) -> Result<Report, String> {
        let limit = self.phases + self.request_limit + self.patience;
        let (mut since, mut begun) = (Instant::now(), 0);
        let mut stopped: Option<Instant> = None;
        loop {
            let event = match self.messages.recv_timeout(WATCH) {
                Ok(Message::Report(report)) => {
                    on(Event::Reported);
                    self.end();
                    return Ok(*report);
                }
                Ok(Message::Mark(mark)) => Event::Mark(mark),
                Ok(Message::Progress(requests)) => {
                    if requests > begun {
                        (since, begun) = (Instant::now(), requests);
                    }
                    Event::Tick
                }
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
                _ if since.elapsed() > limit => {
                    self.proc.kill();
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
    use crate::agent::process_tree::ProcessTree;
    use crate::agent::window::Window;
    use load::protocol::{
        Arrivals, Client, Connections, Driver, EngineReport, Expect, ExpectBody, Half, Load, Moment, Order,
        PartReport, PhaseTime, Request,
    };

    const BEGIN: Mark = Mark { part: 0, moment: Moment::Begin };
    const HALF: Mark = Mark { part: 0, moment: Moment::Half };
    const END: Mark = Mark { part: 0, moment: Moment::End };

    /// A client that says what this shell script makes it say. `$ready`, `$begin`, `$half`, `$end`,
    /// `$one` and `$two` (requests begun) and `$report` are its messages.
    fn client(script: &str, report: Report) -> ClientProcess {
        client_for(Amount::UntilStopped, script, report)
    }

    /// The same with an order for so much load, whose requests may take a second.
    fn client_for(amount: Amount, script: &str, report: Report) -> ClientProcess {
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
            driver: Driver::Auto,
            cpus: Vec::new(),
            spin: Duration::ZERO,
            mutation: None,
        };
        let mut command = Command::new("sh");
        for (name, message) in [
            ("ready", Message::Ready),
            ("begin", Message::Mark(BEGIN)),
            ("half", Message::Mark(HALF)),
            ("end", Message::Mark(END)),
            ("one", Message::Progress(1)),
            ("two", Message::Progress(2)),
            ("report", Message::Report(Box::new(report))),
        ] {
            command.env(name, serde_json::to_string(&message).expect("serializes"));
        }
        command.args(["-c", &format!("read order; echo \"$ready\"; read go; {script}")]);
        let mut client = ClientProcess::start_program(
            &mut command,
            &Orders::Load(Box::new(order)),
            &Cpus::allowed().expect("affinity"),
        )
        .expect("sh");
        client.wait_until_ready().expect("it says so");
        client.go();
        client
    }

    fn marked(seconds: f64) -> Report {
        let half = Half { seconds, ..Half::default() };
        let engine = Some(EngineReport { halves: [half; 2], ..EngineReport::default() });
        Report { parts: vec![PartReport { engine, ..PartReport::default() }], ..Report::default() }
    }

    /// What the events of a client's load are, apart from ticks, and what became of it.
    fn watched(
        client: &mut ClientProcess,
        window: &mut Window,
        mut marked: impl FnMut(),
    ) -> (Vec<Event>, Result<Report, String>) {
        let mut events = Vec::new();
        let report = client.report(|event| {
            match event {
                Event::Mark(mark) => {
                    window.mark(mark.moment);
                    marked();
                }
                Event::Tick => return true,
                Event::Reported => {}
            }
            events.push(event);
            true
        });
        (events, report)
    }

    #[test]
    fn marks_are_handed_on_when_they_come() {
        let script = "echo \"$begin\"; sleep 0.1; echo \"$half\"; sleep 0.1; echo \"$end\"; echo \"$report\"";
        let mut client = client(script, Report::default());
        let mut window = Window::new(ProcessTree::of(client.pid()), Vec::new(), Cpus::default());
        let mut at = Vec::new();
        let (events, report) = watched(&mut client, &mut window, || at.push(Instant::now()));
        let marks = [BEGIN, HALF, END].map(Event::Mark);
        assert_eq!(events, [&marks[..], &[Event::Reported]].concat());
        assert_eq!(report, Ok(Report::default()));
        let half =
            |index: usize| Half { seconds: (at[index + 1] - at[index]).as_secs_f64(), ..Half::default() };
        assert!(half(0).seconds > 0.05 && half(1).seconds > 0.05, "{at:?}");
        let used = window.close(Some(&[half(0), half(1)])).expect("in time");
        assert!(used.halves_cpu.is_some() && used.wall > Duration::from_millis(100), "{used:?}");
    }

    #[test]
    fn a_client_that_marks_late_or_never_has_no_measured_time() {
        let script = "echo \"$begin\"; echo \"$half\"; echo \"$end\"; echo \"$report\"";
        let mut late = client(script, marked(5.0));
        let mut window = Window::new(ProcessTree::of(late.pid()), Vec::new(), Cpus::default());
        let (_, report) = watched(&mut late, &mut window, || ());
        let halves = report.expect("it reports").parts[0].engine.as_ref().expect("it has halves").halves;
        assert!(window.close(Some(&halves)).expect("all marks").late.is_some(), "5 s are missing");

        let mut dead = client("echo \"$begin\"; echo out of rope >&2; exit 3", marked(5.0));
        let mut window = Window::new(ProcessTree::of(dead.pid()), Vec::new(), Cpus::default());
        let (events, report) = watched(&mut dead, &mut window, || ());
        assert_eq!(events, [Event::Mark(BEGIN)]);
        let problem = report.expect_err("it died");
        assert!(problem.contains("exit status 3") && problem.contains("out of rope"), "{problem}");
        assert!(window.close(Some(&halves)).expect_err("no end").contains("[Begin]"));
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
        assert!(silent.proc.exited().is_some(), "killed");
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
