//! The part that a row's server has in a run, and the row's own verdict.

use crate::experiment::server::{CONTROL_SUFFIX, Role};
use crate::record::row::Row;

/// Returns the role of a row's server. Runs from before there was a column for it are told by the names.
pub fn role(row: &Row) -> Role {
    row.role.parse().unwrap_or(match row.server.as_str() {
        server if server.ends_with(CONTROL_SUFFIX) => Role::Control,
        // The name of `ceiling` in those runs.
        "null" => Role::Ceiling,
        _ => Role::Contestant,
    })
}

/// Returns the name of the server that a control of this name runs a second time.
pub fn controlled(server: &str) -> &str {
    server.strip_suffix(CONTROL_SUFFIX).unwrap_or(server)
}

/// Returns true if every gate let the row pass.
pub fn is_ok(row: &Row) -> bool {
    row.error.is_empty() && row.verdict == "ok"
}

/// Returns true if the row has never met a gate, as those of schema 1: nothing is known against it.
pub fn is_unjudged(row: &Row) -> bool {
    row.error.is_empty() && row.verdict.is_empty()
}

/// Returns the row's verdict. For a row that nobody judged: `failed` with an error, empty without.
pub fn verdict(row: &Row) -> &str {
    match row.verdict.as_str() {
        "" | "ok" if !row.error.is_empty() => "failed",
        told => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: &str, error: &str) -> Row {
        Row { verdict: verdict.into(), error: error.into(), ..Row::default() }
    }

    #[test]
    fn a_row_with_an_error_has_failed_whatever_its_verdict() {
        assert!(is_ok(&row("ok", "")) && !is_ok(&row("ok", "died")) && !is_ok(&row("", "")));
        assert!(is_unjudged(&row("", "")) && !is_unjudged(&row("", "died")));
        assert_eq!((verdict(&row("", "died")), verdict(&row("errors", "died"))), ("failed", "errors"));
    }

    #[test]
    fn old_rows_are_told_by_their_names() {
        let named = |server: &str, told: &str| {
            role(&Row { server: server.into(), role: told.into(), ..Row::default() })
        };
        assert_eq!(named("smol.control", ""), Role::Control);
        assert_eq!(named("null", ""), Role::Ceiling);
        assert_eq!(named("floor", "ceiling"), Role::Ceiling);
        assert_eq!(named("null", "contestant"), Role::Contestant);
        assert_eq!(controlled("smol.control"), "smol");
    }
}
