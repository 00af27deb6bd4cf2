//! Naive recursive Fibonacci in its three forms, with fib(0) = fib(1) = 1 as in the article.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

/// Below this n `/parfib` recurses without `join`: a fork costs more than computing fib(16).
const SEQUENTIAL_BELOW: u32 = 16;

/// The plain recursion.
pub fn fib(n: u32) -> u64 {
    if n < 2 { 1 } else { fib(n - 1) + fib(n - 2) }
}

/// The value, by addition: what the other three are checked against, without their cost.
pub fn value(n: u32) -> u64 {
    (0..n).fold((1, 1), |(a, b), _| (b, a + b)).0
}

/// The same recursion with every call an awaited async call. It never yields to its executor.
pub fn async_fib(n: u32) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { if n < 2 { 1 } else { async_fib(n - 1).await + async_fib(n - 2).await } })
}

/// The same recursion with the two calls forked by rayon's `join`, on a pool of `threads` threads.
///
/// Blocks its caller. The pool is started by the first call and its size is fixed by it.
pub fn par_fib(n: u32, threads: usize) -> u64 {
    static POOL: OnceLock<rayon::ThreadPool> = OnceLock::new();
    fn fork(n: u32) -> u64 {
        if n < SEQUENTIAL_BELOW {
            return fib(n);
        }
        let (a, b) = rayon::join(|| fork(n - 1), || fork(n - 2));
        a + b
    }
    let pool = POOL.get_or_init(|| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("parfib-{i}"))
            .build()
            .expect("the system starts a few threads")
    });
    pool.install(|| fork(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_agree() {
        assert_eq!([fib(0), fib(1), fib(2), fib(30)], [1, 1, 2, 1_346_269]);
        for n in [0, 1, 2, 15, 16, 17, 24] {
            assert_eq!(value(n), fib(n));
            assert_eq!(futures_lite::future::block_on(async_fib(n)), fib(n));
            assert_eq!(par_fib(n, 2), fib(n));
        }
    }
}
