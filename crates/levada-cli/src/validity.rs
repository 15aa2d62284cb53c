//! How long a certificate is still good, in days and in words.

use time::OffsetDateTime;

/// Whole days from `now` until `end`; negative once it is over.
pub(crate) fn days_left(end: OffsetDateTime, now: OffsetDateTime) -> i64 {
    (end - now).whole_seconds().div_euclid(24 * 60 * 60)
}

/// The days that are left, in words.
pub(crate) fn in_words(days_left: i64) -> String {
    match days_left {
        -1 => "EXPIRED less than a day ago".to_owned(),
        -2 => "EXPIRED 1 day ago".to_owned(),
        days @ ..=-3 => format!("EXPIRED {} days ago", -days - 1),
        0 => "less than a day left".to_owned(),
        1 => "1 day left".to_owned(),
        days => format!("{days} days left"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    #[test]
    fn a_day_is_whole_before_it_counts() {
        let now = OffsetDateTime::UNIX_EPOCH;
        for (hours, words) in [
            (-49, "EXPIRED 2 days ago"),
            (-25, "EXPIRED 1 day ago"),
            (-1, "EXPIRED less than a day ago"),
            (23, "less than a day left"),
            (25, "1 day left"),
            (49, "2 days left"),
        ] {
            assert_eq!(in_words(days_left(now + Duration::hours(hours), now)), words);
        }
    }
}
