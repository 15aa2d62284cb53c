//! What holds for every text, good or bad. The fuzz target takes this file, too.

use std::path::Path;

/// Panics unless `text` is read to a configuration that is good, or refused with faults that point
/// into it and can be shown.
pub(crate) fn check(text: &str) {
    match levada_config::parse(text, Path::new("/etc/levada")) {
        Ok(config) => {
            assert!(!config.routes.is_empty());
            for route in config.routes {
                assert!(route.listen.address.for_listening().is_ok(), "{text:?}");
                assert!(route.to.address.for_connecting().is_ok(), "{text:?}");
                for place in [route.listen.place, route.to.place] {
                    assert!(text.get(place).is_some(), "{text:?}");
                }
            }
        }
        Err(faults) => {
            assert!(faults.iter().count() > 0);
            for fault in faults.iter() {
                let place = fault.place();
                assert!(text.get(place.clone()).is_some(), "{place:?} is no place in {text:?}");
            }
            let told = faults.in_file("levada.toml").to_string();
            assert!(!told.contains(|char: char| char.is_control() && char != '\n'), "{told:?}");
        }
    }
}
