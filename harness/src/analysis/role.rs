//! What a row's figures may be used for: shown always, compared if nothing speaks against them, ranked only
//! if something spoke for them.

use crate::experiment::catalog::{CONTROL_SUFFIX, Role};
use crate::judge::validity::{Figure, spoils, spoils_in_turns};
use crate::record::row::Row;

/// Returns the role of a row's server. Runs from before there was a column for it are told by the names.
pub fn role(row: &Row) -> Role {
    row.role.parse().unwrap_or(match row.server.as_str() {
        server if server.ends_with(CONTROL_SUFFIX) => Role::Control,
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

/// Returns true if the row's figures of this kind may be compared.
pub fn is_comparable(row: &Row, figure: Figure) -> bool {
    is_unjudged(row) || is_judged_good(row, figure)
}

/// Returns true if a gate was asked, and says nothing against figures of this kind: such rows are ranked.
pub fn is_judged_good(row: &Row, figure: Figure) -> bool {
    let spoils = if row.rounds.is_some() { spoils_in_turns } else { spoils };
    row.error.is_empty() && row.verdict.parse().is_ok_and(|verdict| !spoils(verdict, figure))
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
    fn what_is_not_ok_is_not_compared() {
        let of = |verdict: &str, error: &str, figure| is_comparable(&row(verdict, error), figure);
        assert!(is_ok(&row("ok", "")) && of("ok", "", Figure::Throughput));
        assert!(!is_ok(&row("", "")) && of("", "", Figure::Throughput));
        assert!(!is_judged_good(&row("", ""), Figure::Throughput), "nobody asked");
        for (verdict, error) in [("client_bound", ""), ("", "died"), ("ok", "died"), ("nonsense", "")] {
            assert!(!of(verdict, error, Figure::Throughput), "{verdict} {error}");
        }
        assert!(of("client_bound", "", Figure::Cpu) && !of("client_bound", "died", Figure::Cpu));
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
