//! Texts that a control connection reads page by page.

use std::sync::{Arc, Mutex, PoisonError};

use levada_pool_wire::{ControlKey, Document, Page};

/// Texts that one control connection reads at once; the oldest go first.
const TEXTS: usize = 16;

/// The texts that one control connection has begun to read.
#[derive(Clone, Default)]
pub(crate) struct Pages(Arc<Mutex<Vec<Text>>>);

struct Text {
    document: Document,
    key: ControlKey,
    bytes: Vec<u8>,
}

impl Pages {
    /// The page that is asked for, of a text that was begun; `None` where there is none.
    pub(crate) fn next(&self, asked: &Page) -> Option<Page> {
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = texts.iter().position(|text| text.is(asked))?;
        let page = asked.reply(&texts[at].bytes);
        if page.offset as usize >= texts[at].bytes.len() {
            texts.remove(at);
        }
        Some(page)
    }

    /// The first page of a new text.
    pub(crate) fn begin(&self, asked: &Page, bytes: Vec<u8>) -> Page {
        let page = asked.reply(&bytes);
        let mut texts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        texts.retain(|text| !text.is(asked));
        if bytes.len() > page.bytes().len() {
            if texts.len() == TEXTS {
                texts.remove(0);
            }
            texts.push(Text { document: asked.document, key: asked.control_key.clone(), bytes });
        }
        page
    }
}

impl Text {
    /// The list of sessions is about all of them: whichever key is asked under, it is one text.
    fn is(&self, page: &Page) -> bool {
        self.document == page.document
            && (self.document == Document::Sessions || self.key == page.control_key)
    }
}
