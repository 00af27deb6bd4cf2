//! What a row's figures may be used for: shown always, compared if nothing speaks against them, ranked only
//! if something spoke for them.

use crate::experiment::catalog::CONTROL_SUFFIX;
use crate::record::row::Row;

/// What a server is in its run for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It is compared and ranked.
    Contestant,
    /// Another server of the run under a second name, which must come out like the first.
    Control,
    /// It is there for another purpose: it shows what the client can do at the most, or has known answers.
    Aside,
}

/// The role of a row's server. Runs from before there was a column for it are told by the names.
pub fn role(row: &Row) -> Role {
    match row.role.as_str() {
        "control" => Role::Control,
        "ceiling" | "oracle" => Role::Aside,
        "" if row.server.ends_with(CONTROL_SUFFIX) => Role::Control,
        "" if row.server == "null" => Role::Aside,
        _ => Role::Contestant,
    }
}

/// The server that a control of this name is a second one of.
pub fn controlled(server: &str) -> &str {
    server.strip_suffix(CONTROL_SUFFIX).unwrap_or(server)
}

/// Whether every gate let the row pass.
pub fn is_ok(row: &Row) -> bool {
    row.error.is_empty() && row.verdict == "ok"
}

/// Whether the row has never met a gate, as those of schema 1: nothing is known against it.
pub fn is_unjudged(row: &Row) -> bool {
    row.error.is_empty() && row.verdict.is_empty()
}

/// Whether the row's figures may be compared.
pub fn is_comparable(row: &Row) -> bool {
    is_ok(row) || is_unjudged(row)
}

/// The row's verdict: `failed` for one with an error that nobody judged, empty for any other such.
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
    fn what_is_not_ok_is_not_compared() {
        assert!(is_ok(&row("ok", "")) && is_comparable(&row("ok", "")));
        assert!(!is_ok(&row("", "")) && is_comparable(&row("", "")));
        for (verdict, error) in [("client_bound", ""), ("", "died"), ("ok", "died")] {
            assert!(!is_comparable(&row(verdict, error)), "{verdict} {error}");
        }
        assert_eq!((verdict(&row("", "died")), verdict(&row("errors", "died"))), ("failed", "errors"));
    }

    #[test]
    fn old_rows_are_told_by_their_names() {
        let named = |server: &str, told: &str| {
            role(&Row { server: server.into(), role: told.into(), ..Row::default() })
        };
        assert_eq!(named("smol.control", ""), Role::Control);
        assert_eq!(named("null", ""), Role::Aside);
        assert_eq!(named("floor", "ceiling"), Role::Aside);
        assert_eq!(named("null", "contestant"), Role::Contestant);
        assert_eq!(controlled("smol.control"), "smol");
    }
}
