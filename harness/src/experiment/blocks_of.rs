//! A part of a run's blocks, for machines that share a run: `3/8` is the third of eight.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Every `of`th block of a run, from the `index`th on. Blocks and parts count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BlocksOf {
    /// Which part.
    pub index: usize,
    /// Of how many.
    pub of: usize,
}

impl Default for BlocksOf {
    /// All blocks.
    fn default() -> BlocksOf {
        BlocksOf { index: 1, of: 1 }
    }
}

impl BlocksOf {
    /// Returns true if the part is the whole run.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Returns true if `block` is in the part.
    pub fn has(self, block: usize) -> bool {
        block > 0 && self.index > 0 && (block - 1).checked_rem(self.of) == Some(self.index - 1)
    }

    /// The first block of the part behind `block`.
    pub fn next(self, block: usize) -> usize {
        (block + 1..).find(|next| self.has(*next)).unwrap_or(usize::MAX)
    }

    /// How many of a run's blocks are in the part.
    pub fn count(self, blocks: usize) -> usize {
        (1..=blocks).filter(|block| self.has(*block)).count()
    }
}

impl fmt::Display for BlocksOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for BlocksOf {
    type Err = String;

    fn from_str(text: &str) -> Result<BlocksOf, String> {
        let wrong = || format!("'{text}': give a part and how many there are, as in 3/8");
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let number = |text: &str| text.parse().map_err(|_| wrong());
        let part = BlocksOf { index: number(index)?, of: number(of)? };
        (1..=part.of).contains(&part.index).then_some(part).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(text: &str) -> BlocksOf {
        text.parse().expect("valid")
    }

    #[test]
    fn parts_share_all_blocks_out() {
        for (of, blocks) in [(1, 7), (3, 7), (8, 20)] {
            let parts: Vec<BlocksOf> = (1..=of).map(|index| BlocksOf { index, of }).collect();
            for block in 1..=blocks {
                assert_eq!(parts.iter().filter(|part| part.has(block)).count(), 1, "{block} of {of}");
            }
            assert_eq!(parts.iter().map(|part| part.count(blocks)).sum::<usize>(), blocks);
        }
        assert_eq!((part("3/8").next(0), part("3/8").next(3), part("1/1").next(4)), (3, 11, 5));
        assert!(!part("1/1").has(0), "what comes before the first block is in none");
    }

    #[test]
    fn a_part_is_written_as_it_is_read() {
        assert_eq!(part("3/8").to_string(), "3/8");
        for wrong in ["", "3", "0/8", "9/8", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(wrong.parse::<BlocksOf>().expect_err(wrong).contains("as in 3/8"), "{wrong}");
        }
    }
}
