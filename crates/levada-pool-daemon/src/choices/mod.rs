//! Choices of identity that are to be remembered: until the pool stops, or in a file, which outlives it.
//!
//! The file is a journal: one choice a line, added with one write. It is opened once, before the pool gives
//! its rights up, and written anew then in as few lines as say the same.

mod book;
mod choice;
mod journal;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use levada_config::Faults;
use tokio::task::spawn_blocking;

use book::Book;
pub(crate) use book::{ENTRIES, Lists};
pub(crate) use choice::{Candidate, Choice};
pub use journal::ChoicesError;
use journal::{Journal, Opened};

use crate::notice::Notice;

/// Choices of identity that are to be remembered; by default, until the pool stops. Cheap to clone; clones
/// are the same.
///
/// ```
/// use levada_pool_daemon::Choices;
///
/// let choices = Choices::parse(b"first .partner.example orders@example.org\nlast .partner.ex")?;
/// let kept = choices.to_string();
/// assert!(kept.ends_with("\nfirst .partner.example orders@example.org\n"));
/// # Ok::<_, levada_config::Faults>(())
/// ```
#[derive(Clone, Default)]
pub struct Choices(Arc<Inner>);

#[derive(Default)]
struct Inner {
    book: Mutex<Book>,
    journal: Option<Journal>,
    /// What has to be told of the file as it was found.
    notices: Vec<Notice>,
}

/// What became of a choice in the file, where there is one: why it was not written, in words.
pub(crate) type Written = Option<Result<(), String>>;

impl Choices {
    /// The choices of the file at `path`, which keeps those to come. It is made where it is missing, for
    /// this user alone. Where another pool has it, or it cannot be written, the pool says so, and choices to
    /// come hold until it stops.
    ///
    /// # Errors
    ///
    /// [`ChoicesError`].
    pub fn open(path: &Path) -> Result<Self, ChoicesError> {
        let Opened { book, journal, notes } = Journal::open(path)?;
        let notice = |what| Notice::Choices { path: path.to_path_buf(), what };
        let notices = notes.into_iter().map(notice).collect();
        Ok(Self(Arc::new(Inner { book: Mutex::new(book), journal: Some(journal), notices })))
    }

    /// The choices that such a file has, kept nowhere. What is behind the last line is left out.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, Faults> {
        let (book, _) = Book::read(text)?;
        Ok(Self(Arc::new(Inner { book: Mutex::new(book), ..Inner::default() })))
    }

    /// Where they are kept.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.0.journal.as_ref().map(Journal::path)
    }

    /// What has to be told of the file as it was found.
    pub(crate) fn notices(&self) -> &[Notice] {
        &self.0.notices
    }

    pub(crate) fn lists(&self, selector: &str) -> Lists {
        self.book().lists(selector)
    }

    /// Remembers a choice, and says what became of it in the file; `None` where it says nothing new, or
    /// there is no room for it.
    ///
    /// # Cancel safety
    ///
    /// Where it is dropped, the choice is remembered all the same.
    pub(crate) async fn remember(&self, choice: Choice) -> Option<Written> {
        if self.0.journal.is_none() {
            return self.take(&choice).then_some(None);
        }
        let all = self.clone();
        // A disk may be slow, or hang.
        spawn_blocking(move || {
            let journal = all.0.journal.as_ref()?;
            // Lines are in the order in which they were taken in.
            let mut end = journal.end();
            all.take(&choice).then(|| Some(end.add(&choice)))
        })
        .await
        .ok()?
    }

    fn take(&self, choice: &Choice) -> bool {
        self.book().take(choice).unwrap_or(false)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing panics while it holds the lock.
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of such a file, in as few lines as say it.
impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.book().fmt(f)
    }
}

impl fmt::Debug for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choices").field("path", &self.path()).finish_non_exhaustive()
    }
}
