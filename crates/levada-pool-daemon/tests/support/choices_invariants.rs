//! What holds for every file of choices, good or bad. The fuzz target takes this file, too.

use levada_pool_daemon::Choices;

/// Panics unless `text` is refused with faults that point into it and can be shown, or is read, also after
/// a crash in the middle of its last line, to a text that says the same in as few lines as can be.
pub(crate) fn check(text: &[u8]) {
    let choices = match Choices::parse(text) {
        Ok(choices) => choices,
        Err(faults) => {
            assert!(faults.iter().count() > 0);
            let told = faults.in_file("choices").to_string();
            assert!(!told.contains(|char: char| char.is_control() && char != '\n'), "{told:?}");
            return;
        }
    };
    let read = |text: &[u8]| Choices::parse(text).expect("it was read before").to_string();
    let short = choices.to_string();
    assert_eq!(read(short.as_bytes()), short);
    let lines = |text: &[u8]| text.split(|&byte| byte == b'\n').count();
    let header = lines(Choices::default().to_string().as_bytes());
    assert!(lines(short.as_bytes()) - header < lines(text), "{short:?} is longer than {text:?}");
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    assert_eq!(read(&text[..whole]), short, "what is behind the last line says nothing");
}
