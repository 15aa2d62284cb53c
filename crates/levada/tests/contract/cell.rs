//! A cell of a table of the contract: a row, over a carrier, with what is written meanwhile.

use crate::ours::Writes;
use crate::world::{Moved, Setup};

pub(crate) const HELLO: &[u8] = b"hello";
pub(crate) const QUEUED: &[u8] = b"queued before the handshake ended";
pub(crate) const BEFORE: &[u8] = b"this had come before";
/// More than any carrier of these tests takes.
pub(crate) const BIG: usize = 1024 * 1024;

pub(crate) struct Cell<R: 'static> {
    pub(crate) setup: Setup,
    pub(crate) row: &'static R,
    pub(crate) writes: Writes,
}

impl<R> Clone for Cell<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Cell<R> {}

impl<R> Cell<R> {
    /// Every cell of this table over this carrier that there is.
    pub(crate) fn all(
        table: &'static [R],
        moved: Moved,
        exists: impl Fn(Self) -> bool,
    ) -> Vec<Self> {
        let mut cells = Vec::new();
        for setup in Setup::all_over(moved) {
            for row in table {
                cells.extend(Writes::ALL.map(|writes| Self { setup, row, writes }));
            }
        }
        cells.retain(|cell| exists(*cell));
        cells
    }
}

pub(crate) fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}
