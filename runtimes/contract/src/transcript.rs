//! Byte transcripts.
