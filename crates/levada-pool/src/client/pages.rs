//! A document of the pool, page by page.

use levada_pool_wire::{Chain, ControlKey, Document, Message, Page, Report};

use crate::client::error::PoolError;
use crate::client::request::out_of_place;

/// What was read of a document so far.
#[derive(Debug)]
pub(crate) struct Pages {
    document: Document,
    control_key: ControlKey,
    bytes: Vec<u8>,
    /// Known with the first page.
    total: Option<usize>,
}

impl Pages {
    /// The most bytes of a document: a list of some ten thousand sessions.
    const MOST: usize = 16 * 1024 * 1024;

    pub(crate) fn new(document: Document, control_key: ControlKey) -> Self {
        Self { document, control_key, bytes: Vec::new(), total: None }
    }

    /// What to ask next, or `None` when the document is whole.
    pub(crate) fn next_request(&self) -> Option<Message> {
        let whole = self.total.is_some_and(|total| self.bytes.len() >= total);
        let offset = self.bytes.len() as u32;
        (!whole).then(|| Page::request(self.document, self.control_key.clone(), offset).into())
    }

    pub(crate) fn take(&mut self, reply: &Message) -> Result<(), PoolError> {
        let page = Page::of(reply).ok_or_else(out_of_place)?;
        let page = page.map_err(|error| PoolError::Protocol(error.to_string()))?;
        let limit = match self.document {
            Document::Report | Document::Farewell => Report::MAX_LEN,
            Document::PeerChain => Chain::MAX_LEN,
            Document::Sessions | Document::Ticket | Document::Unknown(_) => Self::MOST,
        };
        let total = *self.total.get_or_insert(page.total as usize);
        let fits = page.offset as usize == self.bytes.len() && total <= limit;
        let empty = page.bytes().is_empty() && self.bytes.len() < total;
        if !fits || empty || self.bytes.len() + page.bytes().len() > total {
            return Err(PoolError::Protocol("the pages do not belong together".to_owned()));
        }
        self.bytes.extend_from_slice(page.bytes());
        Ok(())
    }

    /// The whole, which is a report.
    pub(crate) fn report(self) -> Result<Report, PoolError> {
        Report::decode(&self.bytes).map_err(|error| PoolError::Protocol(error.to_string()))
    }

    /// The whole, which is a chain of certificates.
    pub(crate) fn chain(self) -> Result<Chain, PoolError> {
        Chain::decode(&self.bytes).map_err(|error| PoolError::Protocol(error.to_string()))
    }

    /// The whole, which is text.
    pub(crate) fn text(self) -> Result<String, PoolError> {
        String::from_utf8(self.bytes)
            .map_err(|_| PoolError::Protocol("a text is no UTF-8".to_owned()))
    }
}

/// The pages of a text that is sent to the pool.
pub(crate) fn of_text<'a>(
    document: Document,
    key: &ControlKey,
    text: &'a [u8],
) -> impl Iterator<Item = Message> + use<'a> {
    let key = key.clone();
    (0..text.len())
        .step_by(Page::MAX_LEN)
        .map(move |offset| Page::request(document, key.clone(), offset as u32).reply(text).into())
}
