//! A wire that comes in pieces.

use levada_ws::handshake::Progress;

/// What `handle` makes of `wire` in pieces of this size: it is to take each as a whole, until there is a
/// head.
pub(crate) fn read<T, E>(
    mut wire: &[u8],
    size: usize,
    mut handle: impl FnMut(&[u8]) -> Result<Progress<T>, E>,
) -> Result<Progress<T>, E> {
    let mut consumed = 0;
    loop {
        let (piece, behind) = wire.split_at(size.clamp(1, wire.len().max(1)).min(wire.len()));
        let progress = handle(piece)?;
        consumed += progress.consumed;
        if progress.head.is_some() || behind.is_empty() {
            return Ok(Progress { consumed, ..progress });
        }
        assert_eq!(progress.consumed, piece.len());
        wire = behind;
    }
}
