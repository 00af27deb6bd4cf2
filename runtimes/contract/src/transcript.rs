//! STUB
/// STUB
pub const ARGUMENTS: [&str; 3] = ["--header-timeout", "2", "--panic-route"];
