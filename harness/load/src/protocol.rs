//! What the coordinator and a client process say to each other, by way of the client's agent.
//!
//! One JSON message a line. The coordinator writes an [`Order`]; the client sets itself up and says
//! [`Message::Ready`]; the coordinator writes [`GO`] when it has read the server's clocks; the client
//! does its work and says [`Message::Report`]. A client of the load engine also says [`Message::Mark`] when
//! a measured phase begins, is half over, and ends, so that the server's clocks are read there. A client
//! whose load is one in the background ([`Amount::UntilStopped`]) says [`Message::Holding`] once the load is
//! under way, and reports when its stdin closes, or at once when a request has failed. A client that makes
//! a number of requests says [`Message::Progress`] while it does, and so does one whose servers take turns
//! ([`Orders::Turns`]), between two pieces. Closing stdin early makes any client stop issuing requests and report what it has.

mod order;
mod report;
mod split;
mod strategy;
mod turns;

pub use order::{
    Amount, Arrivals, Client, Connections, Driver, Expect, ExpectBody, Load, Mutation, Order, PhaseTime,
    Request, Share,
};
pub use report::{EngineReport, Fates, Half, IntervalLog, Latency, LatencyKind, PartReport, Report};
pub use strategy::Strategy;
pub use turns::{Piece, Slice, Turns, TurnsReport};

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a client is told to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orders {
    /// One load.
    Load(Box<Order>),
    /// Loads on several servers, one at a time.
    Turns(Box<Turns>),
}

/// The line that starts the load.
pub const GO: &str = "go";

/// How often a client says [`Message::Progress`].
pub const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Message {
    /// Set up; waiting for [`GO`].
    Ready,
    /// A moment of a measured phase of the load engine's has come.
    Mark(Mark),
    /// A load in the background is under way: every connection of a closed loop has its first request with
    /// the server, or the schedule has begun.
    Holding,
    /// So many requests have been begun: said every second by a client that makes a number of them. As long
    /// as some are left, one more is begun within the time that a request may take.
    Progress(u64),
    /// Done.
    Report(Box<Report>),
    /// The order cannot be carried out.
    Refused(String),
}

/// A moment of a measured phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which of the measured phases, from 0.
    pub part: usize,
    /// Which moment of it.
    pub moment: Moment,
}

/// Where in a measured phase a moment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// It begins.
    Begin,
    /// Half of it is over.
    Half,
    /// It is over. After the last one, what is in flight is waited for.
    End,
}
