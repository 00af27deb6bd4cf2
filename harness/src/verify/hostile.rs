//! All transcripts that are replayed: the contract's, and the hostile ones beside them.

use anyhow::Result;
use contract::transcript::{self, Transcripts};

/// The hostile cases, and the replies that they name.
const FILES: [(&str, &str); 2] = [
    (
        "replies.toml",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../runtimes/contract/transcripts/replies.toml")),
    ),
    ("hostile.toml", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../runtimes/contract/hostile.toml"))),
];

/// Reads them.
///
/// # Errors
/// One is malformed; the tests make sure that none is.
pub(super) fn load() -> Result<Transcripts> {
    let mut all = transcript::load()?;
    all.cases.extend(transcript::parse(&FILES)?.cases);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::route::ROUTES;
    use contract::transcript::{Case, Step, Then};
    use std::collections::BTreeSet;

    fn hostile() -> Vec<Case> {
        transcript::parse(&FILES).expect("they parse").cases
    }

    #[test]
    fn no_two_cases_have_a_name_in_common() {
        let all = load().expect("they parse").cases;
        let names: BTreeSet<&str> = all.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn hostile_cases_use_the_routes_they_say() {
        for case in hostile() {
            let sent = case.steps.iter().filter_map(|step| match step {
                Step::Send(payload) => Some(String::from_utf8_lossy(&payload.bytes)),
                _ => None,
            });
            let text: String = sent.collect();
            for route in ROUTES {
                let says = case.uses.iter().any(|used| used == route.name);
                assert!(
                    !says || text.contains(&format!("/{}", route.name)),
                    "{} uses {}",
                    case.name,
                    route.name
                );
            }
            assert!(case.uses.iter().all(|used| ROUTES.iter().any(|r| r.name == used)), "{}", case.name);
            // Asked of every server after its full start alone.
            assert!(!case.short && !case.plain, "{}", case.name);
        }
    }

    #[test]
    fn what_cannot_be_trusted_ends_the_connection() {
        for case in hostile() {
            let refused = case.replies.last().is_some_and(|reply| [400, 431].contains(&reply.status()));
            assert!(!refused || case.then == Then::Closed, "{}", case.name);
        }
    }
}
