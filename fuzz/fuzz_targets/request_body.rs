//! The body of a request, as the contract's codec reads it: never more than there is, always further, the same however
//! it arrives, and with the bytes that the client's parser finds in the same chunks.

#![no_main]

use contract::codec::body::{Decoder, Malformed, Step};
use contract::codec::head::Framing;
use libfuzzer_sys::fuzz_target;

/// What came of a body.
#[derive(Debug, PartialEq)]
struct Read {
    data: Vec<u8>,
    /// Whether it is over, and how many bytes it took; or that it is malformed.
    end: Result<(bool, usize), Malformed>,
}

fn read(framing: Framing, pieces: &[&[u8]]) -> Read {
    let mut decoder = Decoder::new(framing);
    let (mut data, mut taken) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !decoder.is_done() {
            let step = match decoder.step(rest) {
                Ok(step) => step,
                Err(malformed) => return Read { data, end: Err(malformed) },
            };
            assert!((1..=rest.len()).contains(&step.taken) && step.data <= step.taken, "{step:?}");
            data.extend_from_slice(&rest[step.taken - step.data..step.taken]);
            taken += step.taken;
            rest = &rest[step.taken..];
        }
    }
    let is_done = decoder.is_done();
    if is_done {
        assert_eq!(decoder.step(b"more"), Ok(Step { taken: 0, data: 0 }), "what follows is none of it");
    }
    Read { data, end: Ok((is_done, taken)) }
}

/// The body that the client's parser finds in the same chunks.
fn of_client(chunks: &[u8]) -> Option<Vec<u8>> {
    let answer = [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", chunks].concat();
    let response = load::response::Parser::new().parse(&answer, false).ok()??;
    Some(response.body.bytes(&answer).to_vec())
}

fuzz_target!(|bytes: &[u8]| {
    let cut = fuzz::place(bytes);
    // A length between nothing and twice what is there.
    for framing in [Framing::Chunked, Framing::Length(2 * cut as u64)] {
        let whole = read(framing, &[bytes]);
        assert_eq!(read(framing, &[&bytes[..cut], &bytes[cut..]]), whole, "{framing:?} cut at {cut}");
        if bytes.len() <= 64 {
            assert_eq!(
                read(framing, &bytes.chunks(1).collect::<Vec<_>>()),
                whole,
                "{framing:?} byte by byte"
            );
        }
        if let (Framing::Chunked, Ok((true, _)), Some(body)) = (framing, whole.end, of_client(bytes)) {
            assert_eq!(whole.data, body, "server and client find the same");
        }
    }
});
