//! Counting request heads, which is all the parsing a constant answer needs.

/// Counts the empty lines that end heads, over any number of reads.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// How many bytes of `\r\n\r\n` the last ones were.
    matched: usize,
}

impl Heads {
    /// How many heads end in `bytes`, which follow those of the last call.
    pub(crate) fn count(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        for byte in bytes {
            self.matched = match (byte, self.matched) {
                (b'\r', 2) => 3,
                (b'\r', _) => 1,
                (b'\n', 1) => 2,
                (b'\n', 3) => {
                    count += 1;
                    0
                }
                _ => 0,
            };
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_counted_however_they_are_cut() {
        let text = b"GET / HTTP/1.1\r\nA: b\r\n\r\n\r\nGET / HTTP/1.1\r\r\n\r\nGET /\r\n";
        for size in 1..=text.len() {
            let mut heads = Heads::default();
            let count: usize = text.chunks(size).map(|piece| heads.count(piece)).sum();
            assert_eq!(count, 2, "pieces of {size}");
        }
    }
}
