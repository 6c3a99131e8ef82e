//! When a line about progress is worth printing.

use std::collections::HashMap;
use std::time::Duration;

/// A line at least so often while something goes on.
const EVERY: Duration = Duration::from_secs(5);
/// No two lines closer than this, however fast it goes.
const AT_MOST: Duration = Duration::from_secs(1);

/// Lets through one of many reports on the same item: every five seconds, or sooner (but not within a second) when a tenth of the
/// whole was added. What is done within the first second gets no line at all.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    items: HashMap<String, Item>,
}

#[derive(Debug)]
struct Item {
    at: Duration,
    done: u64,
    told: bool,
}

impl Throttle {
    /// Whether this report is to be shown, at a time since the start of the run.
    pub(super) fn lets_through(
        &mut self,
        item: &str,
        done: u64,
        total: Option<u64>,
        at: Duration,
    ) -> bool {
        let Some(last) = self.items.get_mut(item) else {
            self.items.insert(
                item.to_owned(),
                Item {
                    at,
                    done: 0,
                    told: false,
                },
            );
            return false;
        };
        let waited = at.saturating_sub(last.at);
        let tenth = total.is_some_and(|total| done.saturating_sub(last.done) >= total.div_ceil(10));
        let due = waited >= EVERY || (waited >= AT_MOST && tenth);
        if due {
            *last = Item {
                at,
                done,
                told: true,
            };
        }
        due
    }

    /// Forgets an item that is done; says whether there was a line about it.
    pub(super) fn finish(&mut self, item: &str) -> bool {
        self.items.remove(item).is_some_and(|item| item.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn something_quick_gets_no_line() {
        let mut throttle = Throttle::default();
        assert!(!throttle.lets_through("a", 0, Some(100), at(0)));
        assert!(!throttle.lets_through("a", 100, Some(100), at(900)));
        assert!(!throttle.finish("a"));
    }

    #[test]
    fn a_tenth_or_five_seconds_get_a_line() {
        let mut throttle = Throttle::default();
        assert!(!throttle.lets_through("a", 0, Some(100), at(0)));
        assert!(throttle.lets_through("a", 10, Some(100), at(1000)));
        assert!(!throttle.lets_through("a", 15, Some(100), at(3000)));
        assert!(throttle.lets_through("a", 16, Some(100), at(6000)));
        assert!(throttle.finish("a"));
    }

    #[test]
    fn without_a_total_only_time_counts() {
        let mut throttle = Throttle::default();
        assert!(!throttle.lets_through("a", 1, None, at(0)));
        assert!(!throttle.lets_through("a", 1 << 40, None, at(4000)));
        assert!(throttle.lets_through("a", 1 << 41, None, at(5000)));
    }
}
