//! The read buffer of a connection: what has arrived and is not consumed yet.

use crate::MAX_HEAD;

/// What the buffer starts with and shrinks back to: two pages hold any request of the matrix.
const SIZE: usize = 8 * 1024;

/// Bytes between `start` and `end` of a buffer that grows up to [`MAX_HEAD`].
#[derive(Debug)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    pub(super) fn new() -> Input {
        Input { buffer: vec![0; SIZE], start: 0, end: 0 }
    }

    /// What has arrived and is not consumed yet.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Drops the first `len` bytes.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > SIZE {
                self.buffer.truncate(SIZE);
                self.buffer.shrink_to_fit();
            }
        }
    }

    /// Where more bytes go. To be called with less than [`MAX_HEAD`] bytes in the buffer.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                self.buffer.resize((2 * self.end).min(MAX_HEAD), 0);
            }
        }
        &mut self.buffer[self.end..]
    }

    /// Says that `len` bytes have come to that place.
    pub(super) fn filled(&mut self, len: usize) {
        self.end += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_a_head_s_limit_and_shrinks_when_empty() {
        let mut input = Input::new();
        let fill = |input: &mut Input| {
            let room = input.room();
            room.fill(7);
            let len = room.len();
            input.filled(len);
            len
        };
        while input.bytes().len() < MAX_HEAD {
            assert!(fill(&mut input) > 0);
        }
        assert_eq!((input.bytes().len(), input.buffer.len()), (MAX_HEAD, MAX_HEAD));
        input.consume(MAX_HEAD - 1);
        assert_eq!(input.bytes(), [7]);
        assert_eq!(fill(&mut input), MAX_HEAD - 1);
        assert_eq!(input.bytes().len(), MAX_HEAD);
        input.consume(MAX_HEAD);
        assert_eq!((input.bytes(), input.buffer.capacity()), (&[][..], SIZE));
    }
}
