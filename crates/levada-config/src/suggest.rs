//! Guessing what was meant.

use levada_address::nearest;

/// What to say about a key that is none of `words`.
pub fn key<'a>(wrong: &str, words: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, words.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("the keys here are {}", words.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let words = ["route", "drain", "max-connections"];
        for (wrong, meant) in
            [("routes", "route"), ("Drian", "drain"), ("max_connections", "max-connections")]
        {
            assert_eq!(key(wrong, words.into_iter()), format!("did you mean `{meant}`?"));
        }
        let list = "the keys here are route, drain, max-connections";
        assert_eq!(key("port", words.into_iter()), list);
        assert_eq!(key("", words.into_iter()), list);
    }
}
