//! A program that asks for PINs: GnuPG's `pinentry`, or any other with its manners.
//!
//! Source: the Pinentry manual, "Pinentry Protocol"; the Assuan manual, "Client requests" and "Server
//! responses".

use std::fmt::{self, Write as _};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use levada_pool::PinQuestion;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use zeroize::Zeroizing;

use super::terminal::{self, Settings};

/// The longest line of the protocol.
const LINE: usize = 1000;

/// Lines that one answer may have.
const LINES: usize = 100;

/// How long a program that is ended may take to go.
const LAST_MOMENT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Has `program` ask a person; `None` where they do not want to answer, or not in time.
///
/// # Errors
///
/// What went wrong, in words.
///
/// # Cancel safety
///
/// When it is dropped the program is ended, and the terminal is as it was.
pub(super) async fn ask(
    program: &Path,
    question: &PinQuestion,
) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let terminal = terminal::open().ok();
    // Whoever is ended while it reads a PIN leaves a terminal behind that shows nothing.
    let _settings = terminal.as_ref().and_then(|terminal| Settings::keep(terminal).ok());
    let told = |why: String| format!("{}: {why}", program.display());
    let mut talk = Talk::begin(program)?;
    let refused = |error: Refusal| told(error.to_string());
    talk.answer().await.map_err(told)?.map_err(refused)?;
    for (name, value) in options(terminal.as_ref(), |name| std::env::var(name).ok()) {
        // Who asks in a window needs no terminal, and may say so.
        let _ = talk.say(&format!("OPTION {name}={value}")).await.map_err(told)?;
    }
    // No field of a question is so long that a line were longer than it may be.
    let mut orders = vec![
        format!("SETDESC {}", escaped(&question.to_string())),
        "SETPROMPT PIN:".to_owned(),
        format!("SETTIMEOUT {}", question.time.as_secs().max(1)),
    ];
    orders.extend(super::pinentry::fault(question).map(|fault| format!("SETERROR {fault}")));
    for order in orders {
        talk.say(&order).await.map_err(told)?.map_err(refused)?;
    }
    match talk.say("GETPIN").await.map_err(told)? {
        Ok(pin) => Ok(Some(pin).filter(|pin| !pin.is_empty())),
        Err(error) if error.is_the_persons() => Ok(None),
        Err(error) if terminal.is_none() => {
            Err(told(format!("{error}; it may need a terminal, and this process has none")))
        }
        Err(error) => Err(refused(error)),
    }
}

/// What a program has to know of where it asks: the terminal, which is that of this process or else
/// the one in `GPG_TTY`, its kind, and the locale.
fn options(
    terminal: Option<&File>,
    variable: impl Fn(&str) -> Option<String>,
) -> impl Iterator<Item = (&'static str, String)> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    // The order of setlocale(3).
    let locale = |kind: &str| set("LC_ALL").or_else(|| set(kind)).or_else(|| set("LANG"));
    let own = terminal.map(|_| terminal::PATH.to_owned());
    [
        ("ttyname", own.or_else(|| set("GPG_TTY"))),
        ("ttytype", set("TERM")),
        ("lc-ctype", locale("LC_CTYPE")),
        ("lc-messages", locale("LC_MESSAGES")),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value.filter(|value| !value.contains('\n'))?)))
}

/// What follows `ERR`: a number, of which the lower half tells what it is, and words.
struct Refusal(String);

impl Refusal {
    /// Whether a person has declined, or gave no answer in time.
    ///
    /// Source: libgpg-error, `err-codes.h`.
    fn is_the_persons(&self) -> bool {
        const TIMEOUT: u32 = 62;
        const CANCELED: u32 = 99;
        const NOT_CONFIRMED: u32 = 114;
        const FULLY_CANCELED: u32 = 198;
        let number = self.0.split(' ').next().and_then(|number| number.parse::<u32>().ok());
        let codes = [TIMEOUT, CANCELED, NOT_CONFIRMED, FULLY_CANCELED];
        number.is_some_and(|number| codes.contains(&(number & 0xffff)))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_debug().fmt(f)
    }
}

/// A program that runs.
struct Talk {
    input: ChildStdin,
    output: ChildStdout,
    /// What it has said, and nobody has read yet.
    heard: Zeroizing<Vec<u8>>,
    program: Child,
}

/// The data of an answer, or why there is none.
type Answer = Result<Zeroizing<Vec<u8>>, Refusal>;

impl Talk {
    fn begin(program: &Path) -> Result<Self, String> {
        let command = &mut Command::new(program);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let cannot = |error| format!("cannot run {}: {error}", program.display());
        let mut running = command.spawn().map_err(cannot)?;
        let (Some(input), Some(output)) = (running.stdin.take(), running.stdout.take()) else {
            return Err(format!("{} has no pipes", program.display()));
        };
        let heard = Zeroizing::new(Vec::with_capacity(2 * LINE));
        Ok(Self { input, output, heard, program: running })
    }

    async fn say(&mut self, order: &str) -> Result<Answer, String> {
        let line = format!("{order}\n");
        self.input.write_all(line.as_bytes()).await.map_err(|error| error.to_string())?;
        self.answer().await
    }

    /// Reads up to the line that says how it went.
    async fn answer(&mut self) -> Result<Answer, String> {
        let mut data = Zeroizing::new(Vec::with_capacity(LINE));
        for _ in 0..LINES {
            let line = self.line().await?;
            if line.starts_with(b"OK") {
                return Ok(Ok(data));
            }
            if let Some(error) = line.strip_prefix(b"ERR ") {
                return Ok(Err(Refusal(String::from_utf8_lossy(error).into_owned())));
            }
            if line.starts_with(b"INQUIRE") {
                return Err("it wants to know more than its protocol lets it".to_owned());
            }
            if let Some(more) = line.strip_prefix(b"D ") {
                if data.len() + more.len() > LINE {
                    break;
                }
                unescape(more, &mut data);
            }
        }
        Err("it does not come to an end".to_owned())
    }

    async fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, String> {
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let line = Zeroizing::new(self.heard[..end].to_vec());
                let rest = Zeroizing::new(self.heard[end + 1..].to_vec());
                self.heard.clear();
                self.heard.extend_from_slice(&rest);
                return Ok(line);
            }
            let mut room = Zeroizing::new([0; LINE]);
            let read = self.output.read(&mut room[..]).await.map_err(|error| error.to_string())?;
            if read == 0 || self.heard.len() + read > 2 * LINE {
                return Err("it ended, or says more than its protocol lets it".to_owned());
            }
            self.heard.extend_from_slice(&room[..read]);
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let Some(id) = self.program.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
            return;
        };
        // One that still asks does not look at its input, and may have to tidy the screen, which is
        // somebody else's once this process is gone.
        if kill_process(id, Signal::TERM).is_ok()
            && let Ok(program) = pidfd_open(id, PidfdFlags::empty())
        {
            let _ = poll(&mut [PollFd::new(&program, PollFlags::IN)], Some(&LAST_MOMENT));
        }
    }
}

/// A text as a parameter: what could end the line is written with `%`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            // Writing to a String cannot fail.
            '%' | '\r' | '\n' => drop(write!(escaped, "%{:02X}", u32::from(char))),
            char => escaped.push(char),
        }
    }
    escaped
}

fn unescape(text: &[u8], to: &mut Vec<u8>) {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let escape = |text: &[u8]| match *text {
        [b'%', high, low, ..] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = escape(&text[at..]);
        to.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_survives_the_way_to_its_line_and_back() {
        let pin = "50 % of\r\nü%zz%4";
        let mut back = Vec::new();
        unescape(escaped(pin).as_bytes(), &mut back);
        assert_eq!(back, pin.as_bytes());
        assert!(!escaped(pin).contains('\n'));
        let mut odd = Vec::new();
        unescape(b"%", &mut odd);
        unescape(b"%4", &mut odd);
        unescape(b"%zz", &mut odd);
        assert_eq!(odd, b"%%4%zz", "what is no escape is itself");
    }

    #[test]
    fn a_person_who_declines_is_no_trouble_and_all_else_is() {
        let declined =
            ["83886179 Operation cancelled <Pinentry>", "83886142 Timeout", "83886194", "99"];
        assert!(
            declined.map(|error| Refusal(error.to_owned()).is_the_persons()).iter().all(|is| *is)
        );
        let trouble =
            ["83918950 Inappropriate ioctl for device <Pinentry>", "", "x 99", "9999999999"];
        assert!(
            trouble.map(|error| Refusal(error.to_owned()).is_the_persons()).iter().all(|is| !is)
        );
    }

    #[test]
    fn a_program_is_told_where_it_asks() {
        let told = |set: &[(&str, &str)]| {
            let find = |name: &str| {
                set.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
            };
            let words = options(None, find).map(|(name, value)| format!("{name}={value}"));
            words.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(&[]), "");
        assert_eq!(
            told(&[("GPG_TTY", "/dev/pts/7"), ("TERM", "xterm"), ("LANG", "C.UTF-8")]),
            "ttyname=/dev/pts/7 ttytype=xterm lc-ctype=C.UTF-8 lc-messages=C.UTF-8"
        );
        let set = [("LC_ALL", ""), ("LC_CTYPE", "de_DE.UTF-8"), ("LANG", "C"), ("TERM", "a\nBYE")];
        assert_eq!(told(&set), "lc-ctype=de_DE.UTF-8 lc-messages=C");
    }
}
