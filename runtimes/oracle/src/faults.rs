//! Which request meets which fault: counted, not drawn, so that every fault's number is known exactly.

use std::str::FromStr;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// The right answer.
    Answer,
    /// A 503.
    Status,
    /// A 200 with a body of the right length and one wrong byte.
    Body,
    /// A whole head, half of the body, and the connection's end.
    Truncate,
    /// The connection's end without an answer.
    Close,
    /// The connection's reset (RST) without an answer.
    Reset,
    /// Nothing, ever: the connection stays open, and nothing else is answered on it.
    Silent,
}

impl Fate {
    /// Whether no later request of the connection can be answered.
    pub(crate) fn is_last(self) -> bool {
        !matches!(self, Fate::Answer | Fate::Status | Fate::Body)
    }
}

const FATES: [(&str, Fate); 6] = [
    ("status", Fate::Status),
    ("body", Fate::Body),
    ("truncate", Fate::Truncate),
    ("close", Fate::Close),
    ("reset", Fate::Reset),
    ("silent", Fate::Silent),
];
const CLOSE_AFTER: &str = "close-after";
const HEADER_CLOSE: &str = "header-close";

/// The faults of a run, as `--faults` names them.
///
/// The fault at place i of the list (from 0) with number N falls on every request whose number n, from 1
/// over all connections, has n ≡ −i (mod N): the places keep faults of numbers with a common divisor apart,
/// so that each has its full share. Of two that do meet, the first named wins. Any M·N requests in a row
/// have exactly M multiples of N, whatever was asked before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Each with its N and its place.
    counted: Vec<Counted>,
    /// After which answer a connection ends, and whether that answer announces it.
    pub(crate) last_answer: Option<LastAnswer>,
}

/// The end that every connection comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastAnswer {
    /// The answer's number on its connection, from 1.
    pub(crate) number: u64,
    /// Whether it says `connection: close`.
    pub(crate) announced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    name: &'static str,
    fate: Fate,
    every: u64,
    /// The remainder of the requests it falls on.
    remainder: u64,
}

impl Faults {
    /// Nothing is answered.
    pub(crate) fn deaf() -> Faults {
        let silent = Counted { name: "silent", fate: Fate::Silent, every: 1, remainder: 0 };
        Faults { counted: vec![silent], last_answer: None }
    }

    /// The fate of the request of this number, from 1.
    pub(crate) fn of(&self, number: u64) -> Fate {
        let met = self.counted.iter().find(|fault| number % fault.every == fault.remainder);
        met.map_or(Fate::Answer, |fault| fault.fate)
    }

    fn add(&mut self, name: &str, every: u64) -> Result<(), String> {
        if name == CLOSE_AFTER || name == HEADER_CLOSE {
            if self.last_answer.is_some() {
                return Err(format!("give {CLOSE_AFTER} or {HEADER_CLOSE}, and once"));
            }
            self.last_answer = Some(LastAnswer { number: every, announced: name == HEADER_CLOSE });
            return Ok(());
        }
        let Some((name, fate)) = FATES.into_iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = FATES.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "there is no fault '{name}': there are {}, {CLOSE_AFTER}, {HEADER_CLOSE}",
                names.join(", ")
            ));
        };
        if self.counted.iter().any(|fault| fault.name == name) {
            return Err(format!("{name} is given twice"));
        }
        let place = self.counted.len() as u64;
        let remainder = (every - place % every) % every;
        // All multiples of its own number are the other's too.
        let hidden_by = self
            .counted
            .iter()
            .find(|first| every.is_multiple_of(first.every) && remainder % first.every == first.remainder);
        if let Some(first) = hidden_by {
            return Err(format!(
                "{name}:{every} never happens: {}:{} comes before it",
                first.name, first.every
            ));
        }
        self.counted.push(Counted { name, fate, every, remainder });
        Ok(())
    }
}

impl FromStr for Faults {
    type Err = String;

    fn from_str(text: &str) -> Result<Faults, String> {
        let mut faults = Faults::default();
        for word in text.split(',') {
            let (name, every) = word
                .split_once(':')
                .ok_or_else(|| format!("'{word}': write a fault and its number, status:100"))?;
            let every = every.parse().ok().filter(|n| (1..=1_000_000_000).contains(n));
            faults
                .add(name, every.ok_or_else(|| format!("'{word}': give a number from 1 to 1000000000"))?)?;
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_exactly_its_share_of_any_window() {
        // K10.
        let faults: Faults = "status:100,close:1000,truncate:500,silent:500".parse().expect("valid");
        for before in [0, 1, 99, 12_345] {
            let count = |fate| (1..=10_000).filter(|n| faults.of(before + n) == fate).count();
            let counts = [Fate::Status, Fate::Close, Fate::Truncate, Fate::Silent, Fate::Answer].map(count);
            assert_eq!(counts, [100, 10, 20, 20, 9850], "after {before}");
        }
    }

    #[test]
    fn the_first_named_wins() {
        let faults: Faults = "status:3,body:4".parse().expect("valid");
        let fates: Vec<Fate> = (1..=12).map(|n| faults.of(n)).collect();
        use Fate::{Answer as A, Body as B, Status as S};
        // Body falls on 3, 7, 11 and would on 3; status has 3 already.
        assert_eq!(fates, [A, A, S, A, A, S, B, A, S, A, B, S]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, said) in [
            ("", "write a fault"),
            ("status", "write a fault"),
            ("status:0", "from 1"),
            ("status:x", "from 1"),
            ("sttaus:5", "there are status, body"),
            ("status:5,status:7", "twice"),
            ("silent:1,status:5", "never happens"),
            ("close-after:3,header-close:4", "once"),
        ] {
            let problem = text.parse::<Faults>().expect_err(text);
            assert!(problem.contains(said), "{text}: {problem}");
        }
    }

    #[test]
    fn connections_end_by_their_own_count() {
        let faults: Faults = "status:2,header-close:5".parse().expect("valid");
        assert_eq!(faults.last_answer, Some(LastAnswer { number: 5, announced: true }));
        assert_eq!(faults.of(2), Fate::Status);
    }
}
