//! The file that keeps choices: opened once, locked as long as the pool has it, added to line by line.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use levada_config::Faults;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::book::Book;
use super::choice::Choice;

/// The most bytes that a file may have; all that is remembered is 36 MB.
const MOST: u64 = 64 << 20;

/// A file that is open, and what it had.
pub(super) struct Opened {
    pub(super) book: Book,
    pub(super) journal: Journal,
    /// What has to be told of it.
    pub(super) notes: Vec<String>,
}

/// A file of choices, open for adding, or why it is not added to.
pub(super) struct Journal {
    path: PathBuf,
    end: Mutex<Result<File, String>>,
}

/// The end of a journal, which nobody else adds to meanwhile.
pub(super) struct End<'a>(MutexGuard<'a, Result<File, String>>);

impl Journal {
    /// Opens the file, or makes it, and shortens it if that can be.
    pub(super) fn open(path: &Path) -> Result<Opened, ChoicesError> {
        let cannot = |error| ChoicesError::Open { path: path.to_path_buf(), error };
        let file = open_private(path).map_err(cannot)?;
        let lock = lock(&file, path);
        let mut text = Vec::new();
        (&file).take(MOST + 1).read_to_end(&mut text).map_err(cannot)?;
        if text.len() as u64 > MOST {
            return Err(cannot(io::Error::other(
                "it is longer than any pool lets it become: name another file",
            )));
        }
        let (book, torn) = Book::read(&text)
            .map_err(|faults| ChoicesError::Wrong { path: path.to_path_buf(), faults })?;
        let mut notes = Vec::new();
        if torn > 0 && lock.is_ok() {
            notes.push(format!("its last {torn} bytes are no whole line, and are left out"));
        }
        let short = book.to_string();
        let end = lock.and_then(|()| {
            if text == short.as_bytes() {
                return Ok(file);
            }
            let added_to = replace(path, &short).or_else(|error| {
                notes.push(format!("it cannot be shortened, and is added to as it is: {error}"));
                file.set_len((text.len() - torn) as u64)?;
                Ok(file)
            });
            added_to.map_err(|error: io::Error| error.to_string())
        });
        if let Err(why) = &end {
            notes.push(format!("choices hold until the pool stops: {why}"));
        }
        Ok(Opened { book, journal: Self { path: path.to_path_buf(), end: Mutex::new(end) }, notes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn end(&self) -> End<'_> {
        // Nothing panics while it holds the lock.
        End(self.end.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl End<'_> {
    /// Adds a line, whole or not at all.
    ///
    /// # Errors
    ///
    /// Why it is not there, in words.
    pub(super) fn add(&mut self, choice: &Choice) -> Result<(), String> {
        let file = self.0.as_ref().map_err(Clone::clone)?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let Err(error) = add(file, length, format!("{choice}\n").as_bytes()) else { return Ok(()) };
        // What follows half a line would be spoilt by it.
        let whole = file.set_len(length);
        if whole.is_err() {
            *self.0 = Err(error.to_string());
        }
        Err(error.to_string())
    }
}

fn add(mut file: &File, length: u64, line: &[u8]) -> io::Result<()> {
    if length + line.len() as u64 > MOST {
        return Err(io::Error::other("it is full until the pool begins anew, which shortens it"));
    }
    if file.write(line)? < line.len() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    file.sync_data()
}

/// Opens a file for its owner alone, who has to be this user.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    // Neither is a file elsewhere made by a link, nor is a device or a pipe waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(io::Error::other("it is a link: name the file itself"));
        }
        opened => opened?,
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it is no file: name another one"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "it belongs to uid {}: give it to the user who starts the pool, or name another file",
            found.uid()
        )));
    }
    if found.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may open it, too: chmod 600, or name another file"));
    }
    Ok(file)
}

/// Has no other pool write to the file as long as it is open here.
fn lock(file: &File, path: &Path) -> Result<(), String> {
    let taken = || "another pool writes to it".to_owned();
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => taken(),
        TryLockError::Error(error) => format!("it cannot be locked: {error}"),
    })?;
    // Another one may have put its own file in the place of this one.
    let number = |found: io::Result<fs::Metadata>| found.map(|found| found.ino()).ok();
    if number(file.metadata()) == number(fs::symlink_metadata(path)) {
        Ok(())
    } else {
        Err(taken())
    }
}

/// Puts a file with this text in the place of the one at `path`, locked: also after a crash one of them is
/// there, whole.
fn replace(path: &Path, text: &str) -> io::Result<File> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    // Left there by a crash: nobody else has the lock.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create_new(true).mode(0o600).open(&fresh)?;
    let put = || {
        file.lock()?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // Where a file system cannot do that with a folder, it is in its place all the same.
        let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
        Ok(file)
    };
    put().inspect_err(|_| drop(fs::remove_file(&fresh)))
}

/// Why choices cannot be kept in a file.
#[derive(Debug)]
pub enum ChoicesError {
    /// It cannot be opened, or is not for this user alone.
    Open {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// It has lines that are no choices.
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        faults: Faults,
    },
}

impl fmt::Display for ChoicesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, error } => {
                write!(f, "cannot keep choices in {}: {error}", path.display())
            }
            Self::Wrong { path, faults } => {
                write!(f, "{}", faults.in_file(&path.display().to_string()))
            }
        }
    }
}

impl std::error::Error for ChoicesError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("levada-choices-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("choices")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.file()).unwrap()
        }

        fn write(&self, text: &str) {
            fs::write(self.file(), text).unwrap();
            fs::set_permissions(self.file(), fs::Permissions::from_mode(0o600)).unwrap();
        }

        #[track_caller]
        fn open(&self) -> Opened {
            Journal::open(&self.file()).unwrap_or_else(|error| panic!("{error}"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn choice(line: &str) -> Choice {
        line.parse().unwrap()
    }

    #[test]
    fn what_is_added_is_there_for_the_next_one_in_fewer_lines() {
        let folder = Folder::new("kept");
        let Opened { mut book, journal, notes } = folder.open();
        assert_eq!((notes.len(), &book), (0, &Book::default()));
        assert_eq!(fs::metadata(folder.file()).unwrap().mode() & 0o777, 0o600);
        for line in ["first .a x", "first .a y", "first .a x", "last .b z on-the-fly"] {
            journal.end().add(&choice(line)).unwrap();
            assert_eq!(book.take(&choice(line)), Ok(true));
        }
        assert!(
            folder.text().ends_with("first .a x\nfirst .a y\nfirst .a x\nlast .b z on-the-fly\n")
        );
        drop(journal);
        let again = folder.open();
        assert_eq!(again.book, book);
        assert_eq!(folder.text(), book.to_string());
        assert_eq!(folder.text().lines().filter(|line| !line.starts_with('#')).count(), 3);
        // It is the new file that is added to.
        again.journal.end().add(&choice("last .b w")).unwrap();
        assert!(folder.text().ends_with("last .b w\n"));
    }

    #[test]
    fn a_torn_line_is_told_and_gone() {
        let folder = Folder::new("torn");
        folder.write("first .a x\nfirst .a y");
        let Opened { book, notes, .. } = folder.open();
        assert_eq!(notes, ["its last 10 bytes are no whole line, and are left out"]);
        assert_eq!(folder.text(), book.to_string());
        assert!(folder.text().ends_with("first .a x\n"));
    }

    #[test]
    fn what_cannot_be_shortened_is_added_to() {
        let folder = Folder::new("long");
        folder.write("first .a x\nfirst .a y\nfirst .a x\nfirst .a");
        // There is no room for a shorter one.
        fs::create_dir(folder.0.join("choices.new")).unwrap();
        let Opened { book, journal, notes } = folder.open();
        assert_eq!(book.lists(".a").front.len(), 2);
        assert!(notes[1].starts_with("it cannot be shortened"), "{notes:?}");
        journal.end().add(&choice("first .a z")).unwrap();
        assert_eq!(folder.text(), "first .a x\nfirst .a y\nfirst .a x\nfirst .a z\n");
    }

    #[test]
    fn a_second_pool_reads_and_does_not_write() {
        let folder = Folder::new("second");
        let first = folder.open();
        first.journal.end().add(&choice("first .a x")).unwrap();
        first.journal.end().add(&choice("first .a y")).unwrap();
        let text = folder.text();
        let second = folder.open();
        assert_eq!(second.notes, ["choices hold until the pool stops: another pool writes to it"]);
        assert_eq!(second.book.lists(".a").front.len(), 2);
        let refused = second.journal.end().add(&choice("first .a z")).unwrap_err();
        assert_eq!((&*refused, folder.text()), ("another pool writes to it", text));
        drop(first);
        assert!(folder.open().notes.is_empty());
    }

    #[test]
    fn what_cannot_be_written_costs_its_lasting_alone() {
        let folder = Folder::new("full");
        let Opened { journal, .. } = folder.open();
        let text = folder.text();
        // As a disk that is full, this descriptor takes nothing.
        *journal.end().0 = Ok(File::open(folder.file()).unwrap());
        assert!(journal.end().add(&choice("first .a x")).is_err());
        assert_eq!(folder.text(), text);
        // Nor can it be made whole again, so it is left alone.
        assert!(journal.end().0.is_err());
        assert!(journal.end().add(&choice("first .a x")).is_err());
    }

    #[test]
    fn a_file_grows_up_to_a_bound() {
        let folder = Folder::new("bound");
        let Opened { journal, .. } = folder.open();
        journal.end().0.as_ref().unwrap().set_len(MOST).unwrap();
        let refused = journal.end().add(&choice("first .a x")).unwrap_err();
        assert!(refused.contains("full until the pool begins anew"), "{refused}");
        journal.end().0.as_ref().unwrap().set_len(MOST + 1).unwrap();
        let error = Journal::open(&folder.file()).err().unwrap().to_string();
        assert!(error.contains("name another file"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_ours_alone_is_refused_in_words() {
        let folder = Folder::new("refused");
        let refused = |wanted: &str| {
            let error = Journal::open(&folder.file()).err().unwrap().to_string();
            assert!(error.contains(wanted), "{error}");
            assert!(error.contains("choices"), "{error}");
        };
        folder.write("");
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o640)).unwrap();
        refused("chmod 600");
        folder.write("frist .a x\n");
        refused("choices:1:1: it begins neither with `first` nor with `last`");
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder.file(), Some(1), None).unwrap();
            refused("it belongs to uid 1: ");
        }
        fs::remove_file(folder.file()).unwrap();
        symlink(folder.0.join("elsewhere"), folder.file()).unwrap();
        refused("it is a link");
        fs::remove_file(folder.file()).unwrap();
        fs::create_dir(folder.file()).unwrap();
        refused("directory");
        let error = Journal::open(Path::new("/dev/null")).err().unwrap().to_string();
        assert!(error.contains("it is no file"), "{error}");
    }
}
