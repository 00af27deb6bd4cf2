//! The lines between the coordinator and an agent, and the answers in them. What is read can be written and read again.

#![no_main]

use harness::agent::equal_work::EqualWork;
use harness::agent::messages::{Closed, Line, Probed, Said, Started};
use harness::verify::Replayed;
use libfuzzer_sys::fuzz_target;
use load::protocol::Expect;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads an answer as one of these.
fn answer<T: Serialize + DeserializeOwned>(answer: &serde_json::Value) -> Option<T> {
    let read = serde_json::from_value::<T>(answer.clone()).ok()?;
    Some(fuzz::comes_back(&read))
}

fuzz_target!(|line: &[u8]| {
    if let Ok(line) = serde_json::from_slice::<Line>(line) {
        fuzz::comes_back(&line);
    }
    if let Ok(said) = serde_json::from_slice::<Said>(line) {
        if let Said::Answer(_, Ok(value)) = &said {
            _ = (answer::<Started>(value), answer::<Closed>(value), answer::<Expect>(value));
            _ = answer::<Probed>(value);
            if let Some(replayed) = answer::<Replayed>(value) {
                assert!(!replayed.to_string().is_empty());
            }
            if let Some(work) = answer::<EqualWork>(value) {
                _ = (work.verdict(), work.to_string());
            }
        }
        fuzz::comes_back(&said);
    }
});
