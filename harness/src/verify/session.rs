//! One case on one connection: plays its steps, takes its replies, and sees how it ends.

use super::check::{Asked, Difference, compare, show};
use super::client::{Connection, Next};
use super::findings::{Aspect, Mode};
use super::options::{Level, Replay};
use anyhow::Result;
use contract::transcript::{Case, Leave, Step, Then};
use std::thread;
use std::time::{Duration, Instant};

/// A pause that took this much longer than it should means that this machine is too busy to tell.
const LATE: Duration = Duration::from_millis(300);

/// A case being played.
#[derive(Debug)]
pub(super) struct Session<'a> {
    replay: &'a Replay<'a>,
    case: &'a Case,
    mode: Mode,
    /// `None` when the client has left.
    connection: Option<Connection>,
    /// The next step, and how much of it was sent.
    step: usize,
    sent: usize,
    /// Before the first and before the last bytes since the last wait for replies.
    asked_first: Option<Instant>,
    asked_last: Option<Instant>,
    /// How many replies have come.
    replies: usize,
    differences: Vec<Difference>,
    /// The expected replies did not come: there is no use in going on.
    over: bool,
    /// A pause took much longer than it should have.
    pub(super) late: bool,
}

impl<'a> Session<'a> {
    /// Opens a connection.
    pub(super) fn open(replay: &'a Replay<'a>, case: &'a Case, mode: Mode) -> Result<Session<'a>> {
        Ok(Session {
            replay,
            case,
            mode,
            connection: Some(Connection::open(replay.addr, replay.patience)?),
            step: 0,
            sent: 0,
            asked_first: None,
            asked_last: None,
            replies: 0,
            differences: Vec::new(),
            over: false,
            late: false,
        })
    }

    /// Sends the first part of a case that is cut in two.
    pub(super) fn begin(&mut self) {
        if let (Mode::Split(at), Some(Step::Send(payload))) = (self.mode, self.case.steps.first()) {
            self.send(&payload.bytes[..at]);
            self.sent = at;
        }
    }

    /// Plays the steps up to the next one that waits for replies.
    pub(super) fn go_on(&mut self) -> Result<()> {
        let case = self.case;
        while let Some(step) = case.steps.get(self.step) {
            match step {
                Step::Send(payload) => {
                    let rest = &payload.bytes[std::mem::take(&mut self.sent)..];
                    let size = if self.mode == Mode::Bytewise { 1 } else { rest.len().max(1) };
                    rest.chunks(size).for_each(|part| self.send(part));
                }
                Step::Pause(pause) => {
                    let started = Instant::now();
                    match &mut self.connection {
                        Some(connection) => connection.pause(*pause),
                        None => thread::sleep(*pause),
                    }
                    self.late |= started.elapsed() > *pause + LATE;
                }
                Step::Await(_) => return Ok(()),
                Step::HalfClose => self.connection.iter_mut().for_each(Connection::half_close),
                Step::Leave(Leave::Reset) => self.connection = None,
                Step::Leave(Leave::Close) => self.connection.take().map_or(Ok(()), Connection::close)?,
            }
            self.step += 1;
        }
        Ok(())
    }

    /// Plays the rest, and says what was not as expected. `started` is when the patience with this
    /// connection, and with those that are played together with it, begins.
    pub(super) fn finish(mut self, started: Instant) -> Result<(Vec<Difference>, bool)> {
        let delays: Duration = self.case.replies.iter().map(|reply| reply.delay).sum();
        let deadline = started + self.replay.patience + delays + self.case.after.unwrap_or_default();
        self.go_on()?;
        while let Some(Step::Await(replies)) = self.case.steps.get(self.step) {
            self.take_replies(*replies, deadline);
            if self.over {
                return Ok((self.differences, self.late));
            }
            self.asked_first = None;
            self.step += 1;
            self.go_on()?;
        }
        self.take_replies(self.case.replies.len(), deadline);
        if !self.over && self.replay.level != Level::Replies {
            self.end(started, deadline);
        }
        Ok((self.differences, self.late))
    }

    fn send(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        self.asked_first.get_or_insert(now);
        self.asked_last = Some(now);
        if let Some(connection) = &mut self.connection {
            connection.send(bytes);
        }
    }

    /// Takes replies until there are `wanted`, and compares each.
    fn take_replies(&mut self, wanted: usize, deadline: Instant) {
        let Some(connection) = &mut self.connection else { return };
        while self.replies < wanted {
            let Some(expected) = self.case.replies.get(self.replies) else { return };
            let reply = match connection.next(expected.head, deadline) {
                Next::Reply(reply) => reply,
                other => {
                    self.over = true;
                    let head = self.replies > 0 && self.case.replies[self.replies - 1].head;
                    let difference = missing(self.case.replies.len(), self.replies, head, other);
                    self.differences.push(difference);
                    return;
                }
            };
            self.replies += 1;
            // Of several requests in one payload the first may be answered before the last is sent.
            let sent = if self.case.replies.len() == 1 { self.asked_last } else { self.asked_first };
            let asked = Asked { opened: connection.opened, sent: sent.unwrap_or(connection.opened) };
            self.differences.extend(compare(expected, &reply, asked, self.replay.level));
        }
    }

    /// Sees whether the connection ends as it should.
    fn end(&mut self, started: Instant, deadline: Instant) {
        let Some(mut connection) = self.connection.take() else { return };
        let difference = match (self.case.then, self.case.after) {
            (Then::Gone, _) => None,
            (Then::Open, _) => self.still_open(&mut connection, deadline),
            (Then::Closed, Some(after)) => self.times_out(&mut connection, after, deadline),
            (Then::Closed, None) => self.closes(&mut connection, started + self.replay.grace, deadline),
        };
        self.differences.extend(difference);
    }

    fn still_open(&self, connection: &mut Connection, deadline: Instant) -> Option<Difference> {
        let differs = |got: &str| Some(Difference::new(Aspect::Connection, "an open one", got));
        connection.send(self.replay.probe.send.as_bytes());
        match connection.next(false, deadline) {
            Next::Reply(reply) if self.replay.is_probes(&reply) => {
                connection.has_more().then(|| self.too_many("more bytes".to_owned()))
            }
            Next::Reply(reply) => {
                Some(self.too_many(format!("also {}, {}", reply.status_line, show(&reply.body))))
            }
            Next::Garbage(bytes) => Some(garbage(self.last_is_head(), &bytes)),
            Next::End(_) => differs("a closed one"),
            Next::Nothing(_) => differs("one on which another request is not answered"),
        }
    }

    fn closes(&self, connection: &mut Connection, grace: Instant, deadline: Instant) -> Option<Difference> {
        let half_closed = connection.is_half_closed();
        let still_open = |got: &str| Some(Difference::new(Aspect::Connection, "a closed one", got));
        match connection.next(false, if half_closed { deadline } else { grace }) {
            Next::End(rest) if rest.is_empty() => return None,
            Next::End(rest) | Next::Garbage(rest) => return Some(garbage(self.last_is_head(), &rest)),
            Next::Reply(reply) => {
                return Some(self.too_many(format!("also {}, {}", reply.status_line, show(&reply.body))));
            }
            Next::Nothing(_) if half_closed => return still_open("an open one, though the client has ended"),
            Next::Nothing(_) => {}
        }
        // Slow to close, or open? A server that means to close does not answer this.
        connection.send(self.replay.probe.send.as_bytes());
        match connection.next(false, deadline) {
            Next::End(_) => None,
            Next::Reply(reply) => still_open(&format!("an open one: {}", reply.status_line)),
            Next::Garbage(bytes) => Some(garbage(false, &bytes)),
            Next::Nothing(_) => still_open("an open one, on which nothing is answered"),
        }
    }

    fn times_out(
        &self,
        connection: &mut Connection,
        after: Duration,
        deadline: Instant,
    ) -> Option<Difference> {
        match connection.next(false, deadline) {
            Next::End(rest) if rest.is_empty() => {
                let took = connection.age();
                let expected = format!("a connection that is closed after {after:?} or more");
                (took < after).then(|| Difference::new(Aspect::Early, expected, format!("{took:?}")))
            }
            Next::End(rest) | Next::Garbage(rest) => Some(garbage(self.last_is_head(), &rest)),
            Next::Reply(reply) => {
                Some(self.too_many(format!("also {}, {}", reply.status_line, show(&reply.body))))
            }
            Next::Nothing(_) => {
                let expected = format!("a connection that is closed after {after:?}");
                Some(Difference::new(Aspect::Connection, expected, "an open one"))
            }
        }
    }

    fn last_is_head(&self) -> bool {
        self.case.replies.last().is_some_and(|reply| reply.head)
    }

    fn too_many(&self, got: String) -> Difference {
        Difference::new(Aspect::Responses, count(self.case.replies.len()), got)
    }
}

fn count(replies: usize) -> String {
    match replies {
        0 => "no reply".to_owned(),
        1 => "1 reply".to_owned(),
        n => format!("{n} replies"),
    }
}

/// What came instead of a reply. `head`: the reply before was one to a HEAD request.
fn missing(wanted: usize, replies: usize, head: bool, got: Next) -> Difference {
    let (end, rest) = match got {
        Next::Garbage(bytes) => return garbage(head, &bytes),
        Next::End(rest) => ("and the connection closed", rest),
        Next::Nothing(rest) => ("and silence", rest),
        Next::Reply(reply) => return Difference::new(Aspect::Responses, count(wanted), reply.status_line),
    };
    let part = if rest.is_empty() { String::new() } else { format!(", then {}", show(&rest)) };
    Difference::new(Aspect::Responses, count(wanted), format!("{}{part} {end}", count(replies)))
}

fn garbage(after_head: bool, bytes: &[u8]) -> Difference {
    if after_head {
        Difference::new(Aspect::Body, "no body in the reply to HEAD", show(bytes))
    } else {
        Difference::new(Aspect::Form, "an HTTP reply", show(bytes))
    }
}
