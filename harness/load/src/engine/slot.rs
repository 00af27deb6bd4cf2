//! A place for a connection, and what an answer's bytes mean for the request on it.

use super::request::Request;
use crate::fate::Fate;
use crate::protocol::Expect;
use crate::response::{MAX_RESPONSE, Parser};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Closed,
    Connecting,
    Idle,
    Busy,
}

/// A place for a connection.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) state: State,
    /// The request on it, or the one it is being opened for.
    pub(super) request: Option<Request>,
    /// When it began to connect.
    pub(super) since: u64,
    /// Whether it has ever sent a request.
    pub(super) has_sent: bool,
    parser: Parser,
    /// Bytes of an answer that has not come whole.
    partial: Vec<u8>,
}

/// What an answer's bytes have led to.
pub(super) enum Step {
    /// It is not complete.
    More,
    /// It is, and the connection can carry another one, or not.
    Answered { fate: Fate, keep_alive: bool },
    /// The connection is of no use any more.
    Broken(Fate),
}

impl Slot {
    /// Its connection is closed, and what came of an answer is worth nothing.
    pub(super) fn clear(&mut self) {
        self.state = State::Closed;
        self.parser = Parser::new();
        self.partial.clear();
    }

    /// More bytes of an answer.
    pub(super) fn feed(&mut self, bytes: &[u8], expect: &Expect) -> Step {
        if self.request.is_none() {
            return Step::Broken(Fate::ErrRead("an answer that was not asked for".into()));
        }
        let parsed = if self.partial.is_empty() {
            parse(&mut self.parser, bytes, false, expect)
        } else {
            self.partial.extend_from_slice(bytes);
            parse(&mut self.parser, &self.partial, false, expect)
        };
        match parsed {
            Step::More if self.partial.is_empty() => self.partial.extend_from_slice(bytes),
            Step::More if self.partial.len() > MAX_RESPONSE => {
                return Step::Broken(Fate::ErrRead("the answer is too long".into()));
            }
            Step::More => {}
            _ => self.partial.clear(),
        }
        parsed
    }

    /// The server has closed the connection.
    pub(super) fn ended(&mut self, expect: &Expect) -> Step {
        match self.request {
            // Between two requests it may.
            None => Step::Broken(Fate::Ok),
            Some(_) => match parse(&mut self.parser, &self.partial, true, expect) {
                Step::Answered { fate, .. } => Step::Answered { fate, keep_alive: false },
                step => step,
            },
        }
    }
}

fn parse(parser: &mut Parser, bytes: &[u8], ended: bool, expect: &Expect) -> Step {
    match parser.parse(bytes, ended) {
        Ok(None) => Step::More,
        Ok(Some(response)) => {
            let fate = Fate::of_answer(response.status, response.body.bytes(bytes), expect);
            // Bytes beyond the answer belong to nothing that was asked for.
            Step::Answered { fate, keep_alive: response.keep_alive && response.length == bytes.len() }
        }
        Err(error) => Step::Broken(Fate::ErrRead(error)),
    }
}
