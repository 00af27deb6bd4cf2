//! A wrong name is answered with the nearest right ones.

use crate::exit::usage;
use anyhow::Result;

/// Finds `given` among `names`.
///
/// # Errors
/// One line with the nearest names, or with all of them when none is near.
pub fn find<'a, T>(what: &str, given: &str, items: &'a [T], name: impl Fn(&T) -> &str) -> Result<&'a T> {
    if let Some(found) = items.iter().find(|item| name(item) == given) {
        return Ok(found);
    }
    let names: Vec<&str> = items.iter().map(&name).collect();
    Err(usage!("unknown {what} '{given}': {}", nearest(given, &names)))
}

fn nearest(given: &str, names: &[&str]) -> String {
    let mut near: Vec<(f64, &str)> = names
        .iter()
        .map(|name| (strsim::jaro_winkler(&given.to_lowercase(), &name.to_lowercase()), *name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    match near.as_slice() {
        [] => format!("there are {}", names.join(", ")),
        [(_, only)] => format!("did you mean {only}?"),
        near => {
            let names: Vec<&str> = near.iter().take(3).map(|(_, name)| *name).collect();
            format!("did you mean {}?", names.join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["tokio-multi", "tokio-current", "smol", "may"];

    fn refusal(given: &str) -> String {
        find("server", given, &NAMES, |name| name).expect_err("unknown").to_string()
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        assert_eq!(refusal("smoll"), "unknown server 'smoll': did you mean smol?");
        assert!(refusal("tokio").contains("tokio-multi or tokio-current"));
        assert!(refusal("xyzzy").ends_with("there are tokio-multi, tokio-current, smol, may"));
        assert_eq!(find("server", "may", &NAMES, |name| name).expect("known"), &"may");
    }
}
