//! The exit codes, and the error that carries one.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// How the program ends. The numbers are part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, and all was well.
    Done = 0,
    /// A difference that was asked about is there: a server failed `verify`, a figure of `selftest` is wrong, or
    /// `compare` found a regression.
    Difference = 1,
    /// The command line, a manifest or a profile is wrong; nothing was started.
    Usage = 2,
    /// Measured, but not valid: requests failed in some rows, which say so; or `--until` ended undecided; or `compare`
    /// cannot tell, or `selftest` on a host that is not quiet.
    Invalid = 3,
    /// A server or the environment failed; what was measured is kept.
    Failed = 4,
    /// Interrupted by a signal (128 + SIGINT); what was measured is kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Prints a line on stderr. Who listened there may be gone, and what is measured goes on: `eprintln!` would panic.
pub fn tell(line: &str) {
    _ = writeln!(io::stderr(), "{line}");
}

/// An error of the person at the keyboard: one line, exit code 2.
#[derive(Debug)]
pub struct Usage(String);

impl Usage {
    /// The error that says this. What it quotes may have several lines, and none of them is a line of the error's.
    pub fn new(text: &str) -> Usage {
        Usage(
            text.split(|c: char| c.is_control())
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
        )
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Builds an [`anyhow::Error`] that ends the program with [`Exit::Usage`].
macro_rules! usage {
    ($($text:tt)*) => { anyhow::Error::new($crate::exit::Usage::new(&format!($($text)*))) };
}
pub(crate) use usage;

/// The exit code that an error deserves.
pub fn code_of(error: &anyhow::Error) -> Exit {
    if error.chain().any(|cause| cause.is::<Usage>()) { Exit::Usage } else { Exit::Failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_error_is_one_line_whatever_it_quotes() {
        let error = usage!("unknown server '{}'", "a\nb\r\n\u{1b}[1mc");
        assert_eq!(error.to_string(), "unknown server 'a b [1mc'");
        assert_eq!(code_of(&error), Exit::Usage);
    }
}
