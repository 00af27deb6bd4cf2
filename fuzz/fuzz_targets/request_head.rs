//! The head of a request, as the contract's codec reads it: never more than there is, and the same however it arrives.

#![no_main]

use contract::codec::head::{Target, may_be_complete, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (mut target, mut of_part) = (Target::default(), Target::default());
    let whole = parse(bytes, &mut target);
    let cut = fuzz::place(bytes);
    let part = parse(&bytes[..cut], &mut of_part);
    match &whole {
        Ok(Some(head)) => {
            assert!((1..=bytes.len()).contains(&head.len), "{head:?}");
            if cut < head.len {
                assert_eq!(part, Ok(None), "a part of a head is none");
                assert!(may_be_complete(bytes, cut), "and what comes after it is looked at");
            } else {
                assert_eq!(part, whole, "what follows a head is none of it");
                assert_eq!((of_part.path(), of_part.query()), (target.path(), target.query()));
            }
        }
        Ok(None) => assert_eq!(part, Ok(None), "more bytes do not mend an error"),
        Err(_) => {}
    }
});
