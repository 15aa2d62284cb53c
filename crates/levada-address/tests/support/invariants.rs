//! What holds for every text, good or bad. The fuzz target takes this file, too.

use levada_address::{Address, AddressError};

/// Panics unless everything that can be done with `text` keeps its promises.
pub(crate) fn check(text: &str) {
    match text.parse::<Address>() {
        Err(error) => assert_sound(&error),
        Ok(address) => {
            let shown = address.to_string();
            assert_eq!(shown.parse(), Ok(address.clone()), "{text:?} was shown as {shown:?}");
            assert!(!shown.contains(char::is_control), "{shown:?}");
            for error in [address.for_listening().err(), address.for_connecting().err()] {
                error.iter().for_each(assert_sound);
            }
        }
    }
}

/// Panics unless `error` points into its input and can be shown in every form.
pub(crate) fn assert_sound(error: &AddressError) {
    let (input, span) = (error.input(), error.span());
    assert!(input.get(span.clone()).is_some(), "{span:?} is no place in {input:?}");
    let text = error.to_string();
    let lines = 3 + usize::from(error.hint().is_some());
    assert_eq!(text.split('\n').count(), lines, "{text:?}");
    assert!(!text.contains(|char: char| char.is_control() && char != '\n'), "{text:?}");
    assert!(!error.one_line().to_string().contains(char::is_control));
    // An address that is offered in place of a bad one is a good one.
    let offered = error.hint().and_then(|hint| hint.strip_prefix("did you mean `"));
    if let Some(offered) = offered.and_then(|rest| rest.strip_suffix("`?"))
        && offered.contains("://")
    {
        assert!(offered.parse::<Address>().is_ok(), "{offered:?} is offered");
    }
}
