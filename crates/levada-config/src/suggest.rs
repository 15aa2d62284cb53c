//! Guessing what was meant.

/// Longer words are no typing errors, and not worth the comparing.
const LONGEST: usize = 32;

/// What to say about a key that is none of `words`.
pub fn key<'a>(wrong: &str, words: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(wrong, words.clone()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("the keys here are {}", words.collect::<Vec<_>>().join(", ")),
    }
}

fn nearest<'a>(wrong: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.is_empty() || wrong.len() > LONGEST {
        return None;
    }
    let wrong = wrong.to_ascii_lowercase().replace('_', "-");
    let begins = |word: &str| {
        wrong.len().min(word.len()) >= 3 && (wrong.starts_with(word) || word.starts_with(&wrong))
    };
    let rated = words.filter_map(|word| match strsim::damerau_levenshtein(&wrong, word) {
        distance if distance <= (wrong.len() / 3).max(1) => Some((distance, word)),
        _ if begins(word) => Some((LONGEST, word)),
        _ => None,
    });
    rated.min_by_key(|&(distance, _)| distance).map(|(_, word)| word)
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
