//! Callgrind's profiles: reads the files, takes the slope of two, and says whose the instructions are.
//!
//! No crate reads this format. Only what is written with `--compress-strings=no --compress-pos=no` is read: each
//! line says its file, function or object in full.

use std::collections::BTreeMap;

/// The functions that allocate memory: those of libc, and of mimalloc as Rust calls it.
const ALLOCATOR: [&str; 12] = [
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "mi_malloc",
    "mi_zalloc",
    "mi_realloc",
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
];

/// The functions that are named of each cell.
pub const TOP: usize = 5;

/// Where instructions are: the object (a program or library), the source file, and the function.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    object: String,
    file: String,
    function: String,
}

/// Instructions by where they are, and calls of the allocator: totals, or the cost of one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    costs: BTreeMap<Place, f64>,
    /// Calls of the allocator, those it makes itself aside.
    pub allocations: f64,
}

impl Profile {
    /// Reads a file of callgrind's, and adds what it counts.
    ///
    /// # Errors
    /// One line about the first line that is none of callgrind's.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let mut place = Place { object: String::new(), file: String::new(), function: String::new() };
        let mut callee = "";
        // The line behind a call says what the called function cost, which is counted where that is.
        let mut is_inclusive = false;
        for line in text.lines() {
            if line.starts_with(|c: char| c.is_ascii_digit()) {
                if !std::mem::take(&mut is_inclusive) {
                    let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
                    let cost = cost.ok_or_else(|| format!("callgrind wrote an unknown line: {line}"))?;
                    match self.costs.get_mut(&place) {
                        Some(sum) => *sum += cost,
                        None => _ = self.costs.insert(place.clone(), cost),
                    }
                }
                continue;
            }
            match line.split_once('=') {
                Some(("ob", name)) => place.object = name.to_owned(),
                Some(("fl" | "fi" | "fe", name)) => place.file = name.to_owned(),
                Some(("fn", name)) => place.function = plain(name).to_owned(),
                Some(("cfn", name)) => callee = name,
                Some(("calls", counts)) => {
                    is_inclusive = true;
                    let calls = counts.split(' ').next().and_then(|calls| calls.parse::<f64>().ok());
                    let calls = calls.ok_or_else(|| format!("callgrind wrote an unknown line: {line}"))?;
                    if allocates(callee) && !allocates(&place.function) {
                        self.allocations += calls;
                    }
                }
                // Headers, and the object and file of a called function.
                _ => {}
            }
        }
        Ok(())
    }

    /// All instructions.
    pub fn total(&self) -> f64 {
        self.costs.values().sum()
    }

    /// What one request costs more: `more` counted so many `requests` more than this.
    pub fn slope(&self, more: &Profile, requests: f64) -> Profile {
        let mut costs = BTreeMap::new();
        for (profile, sign) in [(more, 1.0), (self, -1.0)] {
            for (place, cost) in &profile.costs {
                *costs.entry(place.clone()).or_default() += sign * cost / requests;
            }
        }
        Profile { costs, allocations: (more.allocations - self.allocations) / requests }
    }

    /// The instructions of each crate, the most first.
    pub fn by_crate(&self) -> Vec<(String, f64)> {
        summed(self.costs.iter().map(|(place, cost)| (place.crate_name(), *cost)))
    }

    /// The instructions of each function and of what was inlined into it, the most first.
    pub fn by_function(&self) -> Vec<(String, f64)> {
        summed(self.costs.iter().map(|(place, cost)| (place.function.clone(), *cost)))
    }

    /// The functions with the most instructions and their shares, in one line.
    pub fn top(&self) -> String {
        let total = self.total();
        let one = |(name, cost): &(String, f64)| format!("{name} {:.1}%", 100.0 * cost / total);
        self.by_function().iter().take(TOP).map(one).collect::<Vec<_>>().join("; ")
    }
}

/// Sums up what has the same name, the most first.
fn summed(costs: impl Iterator<Item = (String, f64)>) -> Vec<(String, f64)> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    costs.for_each(|(name, cost)| *sums.entry(name).or_default() += cost);
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums
}

fn allocates(function: &str) -> bool {
    // A version of libc's is behind an @.
    let name = plain(function).split('@').next().unwrap_or_default();
    ALLOCATOR.contains(&name.trim_start_matches("__libc_"))
}

/// A function's name without its level of recursion, and without the hash that differs from build to build.
fn plain(name: &str) -> &str {
    let level = name.rsplit_once('\'').filter(|(_, level)| level.chars().all(|c| c.is_ascii_digit()));
    let name = level.map_or(name, |(name, _)| name);
    match name.rsplit_once("::h") {
        Some((plain, hash)) if is_hash(hash) => plain,
        _ => name,
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 16 && text.chars().all(|c| c.is_ascii_hexdigit())
}

impl Place {
    /// Whose source the instructions are of: the crate that cargo downloaded, `std`, `ours` for any other
    /// source, and the object where there is no line table.
    fn crate_name(&self) -> String {
        let object = self.object.rsplit('/').next().unwrap_or_default();
        // A library of the system, with or without the source's names that its debug package has.
        if object.contains(".so") {
            return object.split(['.']).next().unwrap_or(object).to_owned();
        }
        let after = |mark: &str| self.file.split_once(mark).map(|(_, rest)| rest);
        // Behind the registry's own folder is the crate's.
        if let Some(folder) = after("/registry/src/").and_then(|rest| rest.split('/').nth(1)) {
            return unversioned(folder).to_owned();
        }
        if let Some(rest) = after("/git/checkouts/").and_then(|rest| rest.split('/').next()) {
            // Cargo puts a hash behind the name.
            return rest.rsplit_once('-').map_or(rest, |(name, _)| name).to_owned();
        }
        // `/rust/deps` has the crates that std itself is made of.
        if self.file.starts_with("/rustc/")
            || self.file.contains("/rustlib/")
            || self.file.starts_with("/rust/deps/")
        {
            return "std".to_owned();
        }
        if !(self.file.is_empty() || self.file == "???") {
            return "ours".to_owned();
        }
        // A program that was built here is kept under its name and its hash.
        let kept = object.rsplit_once('-').filter(|(_, hash)| is_hash(hash));
        kept.map_or(object, |(name, _)| name).to_owned()
    }
}

/// `hyper` of `hyper-1.12.0`.
fn unversioned(folder: &str) -> &str {
    let mut dashes = folder.match_indices('-').map(|(at, _)| at);
    let version = dashes.find(|at| folder[at + 1..].starts_with(|c: char| c.is_ascii_digit()));
    version.map_or(folder, |at| &folder[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "/srv/rt-x";
    const HYPER: &str = "/home/u/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/hyper-1.12.0/src/a.rs";
    const CORE: &str = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/a.rs";

    /// A request costs 110 instructions and an allocation.
    fn profile(requests: u32) -> Profile {
        let n = requests;
        let text = format!(
            "# callgrind format\nversion: 1\npositions: line\nevents: Ir\nsummary: 9\n\n\
             ob={PROGRAM}\nfl={HYPER}\nfn=hyper::serve::h0123456789abcdef\n10 {}\n11 {}\nfi={CORE}\n5 {}\n\
             fe={HYPER}\n12 0\ncob=/usr/lib/libc.so.6\ncfi=./malloc/malloc.c\ncfn=malloc\ncalls={n} 3301\n12 99999\n\n\
             ob=/usr/lib/libc.so.6\nfl=./malloc/malloc.c\nfn=malloc\n3301 {}\n\
             cfn=malloc'2\ncalls={n} 3301\n3302 77777\ntotals: 9\n",
            50 * n,
            500,
            40 * n,
            20 * n
        );
        let mut profile = Profile::default();
        profile.add(&text).expect("callgrind's");
        profile
    }

    #[test]
    fn the_slope_of_two_profiles_is_the_cost_of_a_request() {
        let request = profile(10).slope(&profile(30), 20.0);
        assert_eq!((request.total(), request.allocations), (110.0, 1.0));
        let of = |names: &[(&str, f64)]| names.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect::<Vec<_>>();
        assert_eq!(request.by_crate(), of(&[("hyper", 50.0), ("std", 40.0), ("libc", 20.0)]));
        assert_eq!(request.by_function(), of(&[("hyper::serve", 90.0), ("malloc", 20.0)]));
    }

    #[test]
    fn files_of_several_processes_add_up() {
        let mut both = Profile::default();
        both.add("fn=f\n1 5\n").expect("callgrind's");
        both.add("fn=f\n1 7\n").expect("callgrind's");
        assert_eq!(both.total(), 12.0);
        assert!(both.add("fn=f\n1 many\n").is_err() && both.add("calls=x 1\n").is_err());
    }

    #[test]
    fn a_line_s_file_says_whose_it_is() {
        let of = |object: &str, file: &str| {
            Place { object: object.into(), file: file.into(), function: String::new() }.crate_name()
        };
        assert_eq!(of(PROGRAM, HYPER), "hyper");
        assert_eq!(of(PROGRAM, &HYPER.replace("hyper-1.12.0", "async-io-2.6.0")), "async-io");
        assert_eq!(of(PROGRAM, "/home/u/.cargo/git/checkouts/may-fa1b2c3d/0123abc/src/lib.rs"), "may");
        assert_eq!(of(PROGRAM, CORE), "std");
        assert_eq!(of(PROGRAM, "/rust/deps/hashbrown-0.15.4/src/raw.rs"), "std");
        assert_eq!(of(PROGRAM, "runtimes/contract/src/reply.rs"), "ours");
        assert_eq!(of(PROGRAM, "???"), "rt-x");
        assert_eq!(of("/srv/rt-x-0123456789abcdef", "???"), "rt-x");
        assert_eq!(of("/usr/lib/x86_64-linux-gnu/libc.so.6", "./malloc/malloc.c"), "libc");
        assert_eq!(of("/usr/lib/ld-linux-x86-64.so.2", "???"), "ld-linux-x86-64");
    }
}
