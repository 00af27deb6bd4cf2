//! A response, as the clients read it: never more than there is, and the same however it arrives.

#![no_main]

use libfuzzer_sys::fuzz_target;
use load::response::{Parser, Response};

/// Shows a parser first the bytes up to each place, and then all of them, behind which nothing comes if they have
/// `ended`.
fn read(bytes: &[u8], places: impl Iterator<Item = usize>, ended: bool) -> Result<Option<Response>, String> {
    let mut parser = Parser::new();
    for place in places {
        if let Some(response) = parser.parse(&bytes[..place], false)? {
            return Ok(Some(response));
        }
    }
    parser.parse(bytes, ended)
}

fuzz_target!(|bytes: &[u8]| {
    let cut = fuzz::place(bytes);
    for ended in [false, true] {
        let whole = read(bytes, std::iter::empty(), ended);
        if let Ok(Some(response)) = &whole {
            assert!(response.length <= bytes.len(), "{response:?}");
            assert!(response.body.bytes(bytes).len() <= response.length, "{response:?}");
            assert!(!(100..200).contains(&response.status), "{response:?}");
        }
        assert!(!ended || !matches!(whole, Ok(None)), "after the end there is nothing to wait for");
        let mut parts = vec![read(bytes, std::iter::once(cut), ended)];
        if bytes.len() <= 64 {
            parts.push(read(bytes, 0..bytes.len(), ended));
        }
        for part in parts {
            match (&whole, &part) {
                // What is wrong may be seen in more than one place.
                (Err(_), Err(_)) => {}
                _ => assert_eq!(part, whole, "cut at {cut}"),
            }
        }
    }
});
