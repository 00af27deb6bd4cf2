//! A request, and how it ends.

/// A request from when it was due to its end. Times are the [`super::clock::Clock`]'s, in ns.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Request {
    /// Its intended start.
    pub(super) due: u64,
    /// When the client took it up.
    pub(super) taken: u64,
    /// When its first byte was written.
    pub(super) sent: u64,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Ok,
    BadStatus(u16),
    BadBody,
    ErrConnect(String),
    ErrRead(String),
    ErrWrite(String),
    TimedOut,
    Shed,
    InFlight,
}

/// A fate in words.
pub(super) fn describe(fate: &Fate) -> String {
    match fate {
        Fate::Ok => String::new(),
        Fate::BadStatus(status) => format!("status {status}, which is not the right one"),
        Fate::BadBody => "a wrong body".into(),
        Fate::ErrConnect(error) => format!("cannot connect: {error}"),
        Fate::ErrRead(error) => error.clone(),
        Fate::ErrWrite(error) => format!("cannot send: {error}"),
        Fate::TimedOut => "no answer in time".into(),
        Fate::Shed => "no connection was free in time".into(),
        Fate::InFlight => "still under way when the client was told to stop".into(),
    }
}
