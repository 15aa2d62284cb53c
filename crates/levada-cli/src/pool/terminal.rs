//! A person at the terminal of this process.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::fs::OFlags;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroizing;

/// More than any terminal takes as one line.
const LINE: usize = 4096;

/// Where a process finds its terminal, whatever its standard streams are (tty(4)).
pub(super) const PATH: &str = "/dev/tty";

/// The terminal of this process, to be written to.
pub(super) fn open() -> io::Result<File> {
    File::options().write(true).open(PATH)
}

/// The terminal of this process, at which a person is asked.
pub(super) struct Terminal {
    input: AsyncFd<OwnedFd>,
    output: File,
}

impl Terminal {
    /// Opens it.
    pub(super) fn open() -> io::Result<Self> {
        // Flags of a file that is opened anew are nobody else's.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let input = File::options().read(true).custom_flags(flags).open(PATH)?;
        let output = open()?;
        let watched = levada_sys::watch(input.into(), Interest::READABLE);
        Ok(Self { input: watched.map_err(|(_, error)| error)?, output })
    }

    /// Asks for a line, which is not shown; `None` where there is none (Ctrl-D).
    ///
    /// # Cancel safety
    ///
    /// When it is dropped, what was typed is dropped, too, and the terminal is as it was.
    pub(super) async fn ask(&self, prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let hidden = Hidden::begin(self)?;
        (&self.output).write_all(prompt.as_bytes())?;
        let mut line = Zeroizing::new(Vec::with_capacity(LINE));
        loop {
            let mut ready = self.input.readable().await?;
            let mut room = Zeroizing::new([0; LINE]);
            let read = ready.try_io(|input| Ok(rustix::io::read(input, &mut room[..])?));
            let Ok(read) = read else { continue };
            let read = &room[..read?];
            if read.is_empty() {
                return Ok(None);
            }
            let (text, is_whole) = match read.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (read, false),
            };
            if line.len() + text.len() > LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the line has no end"));
            }
            line.extend_from_slice(text);
            if is_whole {
                drop(hidden);
                return Ok(Some(line));
            }
        }
    }
}

/// What is typed is not shown, as long as this lives.
struct Hidden<'a> {
    terminal: &'a Terminal,
    _settings: Settings<'a>,
}

impl<'a> Hidden<'a> {
    fn begin(terminal: &'a Terminal) -> io::Result<Self> {
        let settings = Settings::keep(&terminal.output)?;
        let mut hidden = settings.before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        // A line that was typed before the question does not answer it.
        tcsetattr(&terminal.output, OptionalActions::Flush, &hidden)?;
        Ok(Self { terminal, _settings: settings })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = (&self.terminal.output).write_all(b"\n");
    }
}

/// The settings of a terminal, which come back when this is dropped.
pub(super) struct Settings<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Settings<'a> {
    pub(super) fn keep(terminal: &'a File) -> io::Result<Self> {
        Ok(Self { terminal, before: tcgetattr(terminal)? })
    }
}

impl Drop for Settings<'_> {
    fn drop(&mut self) {
        let modes = |settings: &Termios| {
            (settings.input_modes, settings.output_modes, settings.local_modes)
        };
        // Who runs in the background would be stopped for setting what is set already (termios(3)).
        if tcgetattr(self.terminal).is_ok_and(|now| modes(&now) != modes(&self.before)) {
            // As above.
            let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
        }
    }
}
