//! The HTTP/1.1 codec of the rows without hyper.
