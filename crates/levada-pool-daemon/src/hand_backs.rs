//! Which connections a client wants back under kernel TLS, what came of it, and what it tells of them: all by
//! private commands, and for one control connection alone.

use levada_pool_wire::{ControlKey, Document, ErrorCode, HandBackOutcome, Page};

use crate::pending::Pending;

/// Wishes, and outcomes that nobody has asked for yet; the oldest go first.
const KEPT: usize = 64;

/// Texts that come in at once; the oldest go first.
const TEXTS: usize = 16;

/// The most bytes of a text that comes in: a handshake message of 16 KiB with its header, as RFC 8446
/// section 4 bounds what a peer may send us before we look at it.
const TEXT: usize = 16 * 1024 + 4;

/// The hand-backs of one control connection.
#[derive(Default)]
pub(crate) struct HandBacks {
    wished: Pending<ControlKey, ()>,
    outcomes: Pending<ControlKey, HandBackOutcome>,
    texts: Pending<(Document, ControlKey), Vec<u8>>,
}

impl HandBacks {
    /// The application wants the connection of the STARTTLS to come with this key back.
    pub(crate) fn wish(&mut self, key: ControlKey) {
        self.wished.keep(key, (), KEPT);
    }

    /// Whether that is so. It is asked once.
    pub(crate) fn take_wish(&mut self, key: &ControlKey) -> bool {
        self.wished.take(key).is_some()
    }

    /// What came of a wish is known.
    pub(crate) fn settle(&mut self, key: ControlKey, outcome: HandBackOutcome) {
        self.outcomes.keep(key, outcome, KEPT);
    }

    /// What came of a wish. It is told once.
    pub(crate) fn take_outcome(&mut self, key: &ControlKey) -> Option<HandBackOutcome> {
        self.outcomes.take(key)
    }

    /// Takes a page of a text in, and gives the text when it is whole.
    pub(crate) fn take_page(&mut self, page: &Page) -> Result<Option<Vec<u8>>, ErrorCode> {
        let Page { document, offset, total, ref control_key, .. } = *page;
        let key = (document, control_key.clone());
        let begun = self.texts.take(&key);
        let mut bytes = if offset == 0 { Vec::new() } else { begun.unwrap_or_default() };
        let (offset, total) = (offset as usize, total as usize);
        let end = offset + page.bytes().len();
        if offset != bytes.len() || end > total || total > TEXT || page.bytes().is_empty() {
            return Err(ErrorCode::NotImplemented);
        }
        bytes.extend_from_slice(page.bytes());
        if end == total {
            return Ok(Some(bytes));
        }
        self.texts.keep(key, bytes, TEXTS);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use levada::NoKernelTls;

    use super::*;

    fn key(number: u8) -> ControlKey {
        ControlKey::new([number; 16])
    }

    #[test]
    fn wishes_and_outcomes_are_bounded_and_told_once() {
        let mut all = HandBacks::default();
        for number in 0..=KEPT {
            all.wish(key(number as u8));
            all.settle(key(number as u8), Err(NoKernelTls::Suite));
        }
        assert!(!all.take_wish(&key(0)) && all.take_outcome(&key(0)).is_none(), "the oldest");
        assert!(all.take_wish(&key(1)) && !all.take_wish(&key(1)));
        assert_eq!(all.take_outcome(&key(1)), Some(Err(NoKernelTls::Suite)));
        assert_eq!(all.take_outcome(&key(1)), None);
    }

    #[test]
    fn a_text_comes_in_page_by_page() {
        let text: Vec<u8> = (0..TEXT).map(|n| n as u8).collect();
        let page = |document, offset| Page::request(document, key(1), offset as u32).reply(&text);
        let mut all = HandBacks::default();
        let mut whole = None;
        for offset in (0..TEXT).step_by(Page::MAX_LEN) {
            assert_eq!(whole, None);
            whole = all.take_page(&page(Document::Ticket, offset)).unwrap();
            if offset == 0 {
                // Another text meanwhile.
                assert_eq!(all.take_page(&page(Document::Farewell, 0)), Ok(None));
            }
        }
        assert_eq!(whole, Some(text.clone()));
    }

    #[test]
    fn pages_that_do_not_belong_together_are_refused() {
        let text = vec![0; TEXT + 1];
        let mut all = HandBacks::default();
        let page =
            |offset, text: &[u8]| Page::request(Document::Ticket, key(1), offset).reply(text);
        let refused = Err(ErrorCode::NotImplemented);
        assert_eq!(all.take_page(&page(0, &text)), refused, "too long");
        assert_eq!(all.take_page(&page(350, &text[..900])), refused, "not begun");
        assert_eq!(all.take_page(&page(0, b"")), refused, "nothing");
        assert_eq!(all.take_page(&page(0, &text[..900])), Ok(None));
        assert_eq!(all.take_page(&page(700, &text[..900])), refused, "a page is missing");
        assert_eq!(all.take_page(&page(350, &text[..900])), refused, "it has to begin again");
    }
}
