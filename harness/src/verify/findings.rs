//! What a replay finds: mismatches, each in one aspect of one case, and all of them together.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What about an exchange can differ.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display, strum::EnumString,
)]
#[serde(try_from = "String", into = "String")]
#[strum(serialize_all = "kebab-case")]
pub enum Aspect {
    /// How many replies came, or that they came at all.
    Responses,
    /// A reply's status code.
    Status,
    /// A status line whose code is right and whose version or reason is not.
    StatusLine,
    /// The header of this name, in lower case: missing, too many, or another value.
    #[strum(to_string = "header:{0}")]
    Header(String),
    /// A reply's body.
    Body,
    /// A reply that came, or a connection that was closed, before its time.
    Early,
    /// Bytes that are not what they should be: a date, a number, a reply.
    Form,
    /// Whether the connection is open afterwards.
    Connection,
    /// Other connections: whether they are still answered.
    Bystanders,
    /// How much is taken of a client that does not read its replies.
    Backlog,
}

impl TryFrom<String> for Aspect {
    type Error = String;

    fn try_from(text: String) -> Result<Aspect, String> {
        if let Some(name) = text.strip_prefix("header:").filter(|name| !name.is_empty())
            && name == name.to_ascii_lowercase()
        {
            return Ok(Aspect::Header(name.to_owned()));
        }
        text.parse().map_err(|_| {
            format!(
                "no such aspect: {text}; there are responses, status, status-line, header:NAME (in lower case), \
                 body, early, form, connection, bystanders and backlog"
            )
        })
    }
}

impl From<Aspect> for String {
    fn from(aspect: Aspect) -> String {
        aspect.to_string()
    }
}

/// How a case's bytes were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// All at once.
    Whole,
    /// In two parts, the first of this many bytes.
    Split(usize),
    /// One byte at a time.
    Bytewise,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Whole => f.write_str("whole"),
            Mode::Split(at) => write!(f, "split at {at}"),
            Mode::Bytewise => f.write_str("byte by byte"),
        }
    }
}

/// Something that was not as expected. There is one for each aspect of a case, whatever the number of
/// modes that show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The case, or the declared route.
    pub case: String,
    /// The first mode that showed it.
    pub mode: Mode,
    /// What differed.
    pub aspect: Aspect,
    /// What was expected.
    pub expected: String,
    /// What came instead.
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { case, mode, aspect, expected, got } = self;
        write!(f, "{case} ({mode}): {aspect}: expected {expected}, got {got}")
    }
}

/// A case that was not replayed because the server lacks a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The case.
    pub case: String,
    /// The route.
    pub lacks: String,
}

/// What came of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replayed {
    /// How many cases and declared routes were as expected, or deviated as declared.
    pub passed: usize,
    /// How many were not.
    pub failed: usize,
    /// The mismatches that nothing declares.
    pub undeclared: Vec<Mismatch>,
    /// The mismatches that a deviation declares.
    pub declared: Vec<Mismatch>,
    /// The deviations that are declared and did not show.
    pub gone: Vec<Gone>,
    /// The cases that were not replayed.
    pub skipped: Vec<Skipped>,
}

impl Replayed {
    /// What came of both.
    #[must_use]
    pub fn and(mut self, mut other: Replayed) -> Replayed {
        self.passed += other.passed;
        self.failed += other.failed;
        self.undeclared.append(&mut other.undeclared);
        self.declared.append(&mut other.declared);
        self.gone.append(&mut other.gone);
        self.skipped.append(&mut other.skipped);
        self
    }

    /// Whether the server is as its manifest says.
    pub fn is_ok(&self) -> bool {
        self.undeclared.is_empty() && self.gone.is_empty()
    }
}

/// One line for each mismatch and for each deviation that is gone, and one with the counts.
impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mismatch in &self.undeclared {
            writeln!(f, "{mismatch}")?;
        }
        for gone in &self.gone {
            writeln!(f, "{gone}")?;
        }
        write!(f, "{} cases passed, {} failed", self.passed, self.failed)?;
        if !self.declared.is_empty() {
            write!(f, ", {} declared deviations", self.declared.len())?;
        }
        if !self.gone.is_empty() {
            write!(f, ", {} declared and gone", self.gone.len())?;
        }
        if !self.skipped.is_empty() {
            write!(f, ", {} skipped for lack of their route", self.skipped.len())?;
        }
        Ok(())
    }
}

/// A declared deviation that did not show: the declaration is out of date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The case that was as expected; `*` if no case showed it.
    pub case: String,
    /// What was declared to differ.
    pub aspect: Aspect,
    /// The declared reason.
    pub reason: String,
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: declared to deviate, but does not ({})", self.case, self.aspect, self.reason)
    }
}
