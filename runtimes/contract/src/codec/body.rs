//! Finding the end of a request's body, whose bytes nobody wants.

use super::head::Framing;

/// The most bytes all chunk extensions of a body may take (hyper's).
const MAX_EXTENSIONS: usize = 16 * 1024;
/// The most bytes the trailers may take (hyper's).
const MAX_TRAILERS: usize = 16 * 1024;
/// The most trailers there may be (hyper's).
const MAX_TRAILER_LINES: usize = 100;

/// The body breaks its framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What a step of the decoder made of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The bytes it took.
    pub taken: usize,
    /// How many of them were the body's own rather than its framing.
    pub data: usize,
}

/// Follows one body to its end.
#[derive(Debug)]
pub struct Decoder(Kind);

#[derive(Debug)]
enum Kind {
    Length(u64),
    Chunked(Chunked),
}

#[derive(Debug)]
struct Chunked {
    state: State,
    /// What remains of the chunk, or what is known of its size.
    size: u64,
    extensions: usize,
    trailers: Vec<u8>,
    trailer_lines: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Size,
    SizeBlank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    TrailerLf,
    EndCr,
    EndLf,
    End,
}

impl Decoder {
    /// A decoder before the body's first byte.
    pub fn new(framing: Framing) -> Decoder {
        Decoder(match framing {
            Framing::Length(length) => Kind::Length(length),
            Framing::Chunked => Kind::Chunked(Chunked {
                state: State::Start,
                size: 0,
                extensions: 0,
                trailers: Vec::new(),
                trailer_lines: 0,
            }),
        })
    }

    /// Whether the body is over.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Kind::Length(left) => *left == 0,
            Kind::Chunked(chunked) => chunked.state == State::End,
        }
    }

    /// Takes bytes up to the end of a run of data, of the body, or of `bytes`.
    ///
    /// # Errors
    /// The framing is broken.
    pub fn step(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        match &mut self.0 {
            Kind::Length(left) => {
                let data = run(*left, bytes);
                *left -= data as u64;
                Ok(Step { taken: data, data })
            }
            Kind::Chunked(chunked) => chunked.step(bytes),
        }
    }
}

/// The length of a run of `left` bytes, as far as it is there.
fn run(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
}

impl Chunked {
    fn step(&mut self, bytes: &[u8]) -> Result<Step, Malformed> {
        let mut taken = 0;
        while let Some(&byte) = bytes.get(taken) {
            match self.state {
                State::End => break,
                State::Data => {
                    let data = run(self.size, &bytes[taken..]);
                    self.size -= data as u64;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(Step { taken: taken + data, data });
                }
                _ => self.state = self.framing(byte)?,
            }
            taken += 1;
        }
        Ok(Step { taken, data: 0 })
    }

    /// The state after one byte that is no data.
    fn framing(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                self.size = self.size.checked_mul(16).ok_or(Malformed)? | u64::from(digit);
                State::Size
            }
            (State::Size | State::SizeBlank, b'\t' | b' ') => State::SizeBlank,
            (State::Size | State::SizeBlank, b';') => State::Extension,
            (State::Size | State::SizeBlank | State::Extension, b'\r') => State::SizeLf,
            // A lone line feed here is how chunk extensions smuggle requests.
            (State::Extension, b'\n') => return Err(Malformed),
            (State::Extension, _) => {
                self.extensions += 1;
                if self.extensions >= MAX_EXTENSIONS {
                    return Err(Malformed);
                }
                State::Extension
            }
            (State::SizeLf, b'\n') if self.size == 0 => State::EndCr,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Start,
            (State::EndCr, b'\r') => {
                self.keep_trailer(byte)?;
                State::EndLf
            }
            (State::EndCr, _) => {
                self.trailers.push(byte);
                if self.trailers.len() >= MAX_TRAILERS {
                    return Err(Malformed);
                }
                State::Trailer
            }
            (State::Trailer, _) => {
                self.keep_trailer(byte)?;
                if byte == b'\r' { State::TrailerLf } else { State::Trailer }
            }
            (State::TrailerLf, b'\n') => {
                self.trailer_lines += 1;
                if self.trailer_lines > MAX_TRAILER_LINES {
                    return Err(Malformed);
                }
                self.keep_trailer(byte)?;
                State::EndCr
            }
            (State::EndLf, b'\n') => {
                self.keep_trailer(byte)?;
                self.check_trailers()?;
                State::End
            }
            _ => return Err(Malformed),
        })
    }

    /// Keeps a byte of the trailers, if there are any: without them the last line is not one of theirs.
    fn keep_trailer(&mut self, byte: u8) -> Result<(), Malformed> {
        if !self.trailers.is_empty() {
            self.trailers.push(byte);
            if self.trailers.len() >= MAX_TRAILERS {
                return Err(Malformed);
            }
        }
        Ok(())
    }

    fn check_trailers(&self) -> Result<(), Malformed> {
        if self.trailers.is_empty() {
            return Ok(());
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_TRAILER_LINES];
        match httparse::parse_headers(&self.trailers, &mut headers[..self.trailer_lines]) {
            Ok(httparse::Status::Complete(_)) => Ok(()),
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `body` in pieces of `size`: the data it carried and the bytes after its end, or an error.
    fn decode(framing: Framing, body: &[u8], size: usize) -> Result<Option<(usize, usize)>, Malformed> {
        let mut decoder = Decoder::new(framing);
        let (mut data, mut at) = (0, 0);
        for piece in body.chunks(size) {
            let mut rest = piece;
            while !decoder.is_done() && !rest.is_empty() {
                let step = decoder.step(rest)?;
                data += step.data;
                at += step.taken;
                rest = &rest[step.taken..];
            }
        }
        Ok(decoder.is_done().then_some((data, body.len() - at)))
    }

    /// The same at every size of the pieces.
    fn always(framing: Framing, body: &[u8], expected: Result<Option<(usize, usize)>, Malformed>) {
        for size in 1..=body.len() {
            assert_eq!(decode(framing, body, size), expected, "{} in {size}s", body.escape_ascii());
        }
    }

    #[test]
    fn a_length_is_counted() {
        always(Framing::Length(3), b"abc", Ok(Some((3, 0))));
        always(Framing::Length(3), b"abcGET /", Ok(Some((3, 5))));
        always(Framing::Length(4), b"abc", Ok(None));
        assert!(Decoder::new(Framing::Length(0)).is_done());
    }

    #[test]
    fn chunks_end_with_the_empty_one() {
        for (body, data, left) in [
            (&b"0\r\n\r\n"[..], 0, 0),
            (b"5\r\nhello\r\n0\r\n\r\n", 5, 0),
            (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", 11, 3),
            (b"00A\r\n0123456789\r\n000\r\n\r\n", 10, 0),
            (b"a;name=value\r\n0123456789\r\n0;x\r\n\r\n", 10, 0),
            (b"1 \t;x\r\nx\r\n0\r\n\r\n", 1, 0),
            (b"1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", 1, 0),
        ] {
            always(Framing::Chunked, body, Ok(Some((data, left))));
        }
    }

    #[test]
    fn broken_chunks_are_malformed() {
        for body in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"1 1\r\n",
            b"1\nx\r\n",
            b"1;\n",
            b"1\r\nxy\r\n",
            b"1\r\nx\n",
            b"0\r\nnocolon\r\n\r\n",
            b"0\r\n\rx",
            b"10000000000000000\r\n",
        ] {
            always(Framing::Chunked, body, Err(Malformed));
        }
        let extension = [&b"1;"[..], &[b'x'; MAX_EXTENSIONS]].concat();
        assert_eq!(decode(Framing::Chunked, &extension, extension.len()), Err(Malformed));
        let trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(MAX_TRAILER_LINES + 1)].concat();
        assert_eq!(decode(Framing::Chunked, &trailers, trailers.len()), Err(Malformed));
    }

    #[test]
    fn data_come_before_what_is_wrong_behind_them() {
        let mut decoder = Decoder::new(Framing::Chunked);
        assert_eq!(decoder.step(b"3\r\nabcXX"), Ok(Step { taken: 6, data: 3 }));
        assert_eq!(decoder.step(b"XX"), Err(Malformed));
    }
}
