//! Loads on several servers that take turns: what one client does that holds connections to all of them.
//!
//! A turn is made of pieces. A piece begins and ends with nothing in flight, so that all that a server does for
//! its requests lies between the two, and a reading of its clocks before and after it is exact.

use super::order::Order;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// What is to be done on several servers, one at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turns {
    /// The load of each server. Its amount is not looked at: the pieces say how long it goes on.
    pub orders: Vec<Order>,
    /// How many parts each server's report has.
    pub parts: usize,
    /// Where the servers' CPU clocks are told; nowhere for servers that are not ours.
    pub meter: Option<SocketAddr>,
    /// What is done, one after the other.
    pub pieces: Vec<Piece>,
}

/// A part of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Piece {
    /// The server, by its place.
    pub server: usize,
    /// The round that it is in, from 1; 0 for what is in none.
    pub round: usize,
    /// How long requests are begun; it lasts until the last of them has ended.
    pub duration: Duration,
    /// What the rate is multiplied by; with 0 nothing is asked of anybody.
    pub scale: f64,
    /// The part of the server's report that it counts for; none for a lead-in and a pause.
    pub part: Option<usize>,
}

impl Piece {
    /// What decides the schedule of a piece of an order that has this seed: the same for all servers in a round,
    /// another one for each round and part.
    pub fn seed(&self, of_order: u64) -> u64 {
        of_order ^ (self.round as u64) << 32 ^ self.part.map_or(0, |part| part as u64 + 1)
    }
}

/// What came of a piece that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The server, by its place.
    pub server: usize,
    /// The part of its report.
    pub part: usize,
    /// The round.
    pub round: usize,
    /// Requests that were answered rightly.
    pub ok: u64,
    /// From its beginning until the last of its requests had ended.
    pub time: Duration,
    /// CPU time of the server; `None` where no meter tells it.
    pub server_cpu: Option<Duration>,
    /// CPU time of the client.
    pub client_cpu: Duration,
}

/// What came of [`Turns`] beside the reports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnsReport {
    /// Every piece that counts, in the order in which they were done.
    pub slices: Vec<Slice>,
    /// CPU time of each server while it had no turn, and how long that was; none without a meter, or of
    /// a server that is alone.
    pub idle: Vec<(Duration, Duration)>,
    /// CPU time of the client, of all that it did.
    pub client_cpu: Duration,
    /// How long it took to ask the meter at an edge, on average.
    pub asking: Option<Duration>,
    /// Requests of the lead-ins, of each server: they were answered, and count for nothing else.
    pub uncounted: Vec<u64>,
    /// The first error of each server, in words.
    pub first_errors: Vec<Option<String>>,
    /// Why a server was asked no more, in words.
    pub gave_up: Vec<Option<String>>,
}
