//! A program that asks for PINs: GnuPG's `pinentry`, or any other with its manners.
//!
//! Source: the Pinentry manual, "Pinentry Protocol"; the Assuan manual, "Client requests" and "Server
//! responses".

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use levada_pool::PinQuestion;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use zeroize::Zeroizing;

/// The longest line of the protocol.
const LINE: usize = 1000;

/// Lines that one answer may have.
const LINES: usize = 100;

/// Has `program` ask a person; `None` where they do not want to answer.
///
/// # Errors
///
/// What went wrong, in words.
///
/// # Cancel safety
///
/// When it is dropped the program is ended.
pub(super) async fn ask(
    program: &Path,
    question: &PinQuestion,
) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    let mut talk = Talk::begin(program)?;
    talk.answer().await?.map_err(|error| format!("{}: {error}", program.display()))?;
    for (name, variable) in [("ttyname", "GPG_TTY"), ("ttytype", "TERM")] {
        if let Some(value) = std::env::var_os(variable).as_deref().and_then(OsStr::to_str) {
            // Who asks in a window needs no terminal, and may say so.
            let _ = talk.say(&format!("OPTION {name}={value}")).await?;
        }
    }
    let minute = question.time.as_secs().max(1);
    let mut orders = vec![
        format!("SETDESC {}", escaped(&question.to_string())),
        "SETPROMPT PIN:".to_owned(),
        format!("SETTIMEOUT {minute}"),
    ];
    if question.attempt > 0 {
        orders.push("SETERROR That was wrong.".to_owned());
    }
    for order in orders {
        talk.say(&order).await?.map_err(|error| format!("{}: {error}", program.display()))?;
    }
    // ERR is what comes of a window that is closed.
    let pin = talk.say("GETPIN").await?.ok();
    Ok(pin.filter(|pin| !pin.is_empty()))
}

/// A program that runs.
struct Talk {
    input: ChildStdin,
    output: ChildStdout,
    /// What it has said, and nobody has read yet.
    heard: Zeroizing<Vec<u8>>,
    _program: Child,
}

/// The data of an answer, or the words of its error.
type Answer = Result<Zeroizing<Vec<u8>>, String>;

impl Talk {
    fn begin(program: &Path) -> Result<Self, String> {
        let command = &mut Command::new(program);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let cannot = |error| format!("cannot run {}: {error}", program.display());
        let mut running = command.spawn().map_err(cannot)?;
        let (Some(input), Some(output)) = (running.stdin.take(), running.stdout.take()) else {
            return Err(format!("{} has no pipes", program.display()));
        };
        let heard = Zeroizing::new(Vec::with_capacity(2 * LINE));
        Ok(Self { input, output, heard, _program: running })
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
                return Ok(Err(String::from_utf8_lossy(error).escape_debug().to_string()));
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
}
