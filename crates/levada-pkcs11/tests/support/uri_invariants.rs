//! What holds for every text, good or bad. The fuzz target takes this file, too.

use levada_pkcs11::KeyUri;

/// Panics unless `text` is read to a URI that is shown as it was written, or refused with a place in
/// it, in printable words that tell no PIN.
pub(crate) fn check(text: &str) {
    match text.parse::<KeyUri>() {
        Ok(uri) => {
            assert_eq!(uri.to_string(), text);
            let (_, query) = text.split_once('?').unwrap_or((text, ""));
            assert!(!query.split('&').any(|one| one.starts_with("pin-value=")), "{text:?}");
            assert!(!uri.module().as_os_str().is_empty());
            assert!(uri.pin_file().is_none_or(std::path::Path::is_absolute));
        }
        Err(error) => {
            assert!(text.get(error.place.clone()).is_some(), "{error:?} of {text:?}");
            assert!(!error.to_string().contains(char::is_control), "{error:?} of {text:?}");
        }
    }
}
