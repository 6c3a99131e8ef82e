//! Times as they are typed: `90s`, `1h 30m`.

use std::time::Duration;

/// The longest time that is taken for what was meant: less than a month.
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// A time with its unit, above zero.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("what ends at once does nothing".to_owned()),
        // `1M` is a month to the library, of some 30 and a half days, and a slip of the finger to people.
        Ok(duration) if duration > LONGEST => {
            let long = humantime::format_duration(duration);
            Err(format!("that is {long}; 30 days are the longest"))
        }
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; give it as in `45m` or `1h 30m`")),
    }
}
