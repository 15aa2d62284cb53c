//! The protocol as a whole: packets, books and streams against models, and the docs that are
//! rendered from the tables.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy knows so inside #[test] functions only"
)]

mod any_body;
mod any_chain;
mod any_report;
mod books;
mod clients;
mod corpus;
mod dialogues;
mod docs;
mod packets;
mod round_trip;
mod stream;
