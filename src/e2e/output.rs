//! What the tests write while they run. PURE.

/// How far they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many there are to do, once that is known.
    pub total: Option<u64>,
    /// How many have ended.
    pub done: u64,
    /// How many of them have failed.
    pub failed: u64,
    /// How many of them found nothing to test here.
    pub skipped: u64,
    /// The next line is the name of one that has failed.
    name_follows: bool,
    /// Those that are skipped have an end as others have.
    skips_end: bool,
}

/// What a line has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Nothing,
    /// The numbers have changed.
    Progress,
    /// This test has failed.
    Failed(String),
}

impl Tally {
    /// How many have passed.
    pub fn passed(&self) -> u64 {
        self.done.saturating_sub(self.failed + self.skipped)
    }

    /// Takes a line of ginkgo's output.
    pub fn take(&mut self, line: &str) -> Seen {
        let line = line.trim();
        if std::mem::take(&mut self.name_follows) && !line.is_empty() {
            return Seen::Failed(line.to_owned());
        }
        // `Will run 12 of 7579 specs`
        if let Some(rest) = line.strip_prefix("Will run ")
            && let Some(total) = rest
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok())
        {
            *self = Self {
                total: Some(total),
                ..Self::default()
            };
            return Seen::Progress;
        }
        // `• [12.3 seconds]`, `• [FAILED] [12.3 seconds]`, `S [SKIPPED] [0.1 seconds]`
        let ended = |mark: &str| {
            let rest = line.strip_prefix(mark)?.trim_start();
            (rest.starts_with('[') && rest.ends_with("seconds]")).then_some(rest)
        };
        if let Some(rest) = ended("•").or_else(|| ended("S")) {
            // It was broken off with the run, and has come to no result.
            if rest.starts_with("[INTERRUPTED]") {
                return Seen::Nothing;
            }
            self.done += 1;
            // Kubernetes before 1.31 has a ginkgo that tells these so.
            if rest.starts_with("[SKIPPED]") {
                self.skipped += 1;
                self.skips_end = true;
            }
            let bad = ["[FAILED]", "[PANICKED]", "[TIMEDOUT]", "[ABORTED]"];
            if bad.iter().any(|bad| rest.starts_with(bad)) {
                self.failed += 1;
                self.name_follows = true;
            }
            return Seen::Progress;
        }
        // `[SKIPPED] in [BeforeEach] - FILE:LINE @ TIME`: all that others tell.
        if line.starts_with("[SKIPPED] in [") && !self.skips_end {
            self.done += 1;
            self.skipped += 1;
            return Seen::Progress;
        }
        Seen::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_skipped_are_counted_once_by_every_ginkgo() {
        let why = "  [SKIPPED] in [BeforeEach] - k8s.io/kubernetes/test/e2e/cloud/gcp/reboot.go:66 @ 11/22/26 17:18:04.512";
        let count = |lines: &[&str]| {
            let mut tally = Tally::default();
            for line in lines {
                tally.take(line);
            }
            (tally.done, tally.skipped, tally.passed())
        };
        let passed = "• [4.654 seconds]";
        assert_eq!(count(&[passed, why, why]), (3, 2, 1));
        let end = "S [SKIPPED] [0.010 seconds]";
        assert_eq!(count(&[passed, end, why, end, why]), (3, 2, 1));
        assert_eq!(count(&[end, passed, end]), (3, 2, 1));
    }

    #[test]
    fn ginkgos_lines_are_counted() {
        let mut tally = Tally::default();
        let seen: Vec<Seen> = "Running Suite: Kubernetes e2e suite - /o
Will run 4 of 7579 specs
Running in parallel across 2 processes
SSSS
------------------------------
• [7.123 seconds]
[sig-network] Services should serve
  STEP: something @ 11/21/26 16:00:14.06
• [FAILED] [125.345 seconds]
[sig-apps] Deployment [It] should run [Conformance]
S [SKIPPED] [0.010 seconds]
[sig-node] Pods not here
• [PANICKED] [0.020 seconds]
[sig-node] Pods [It] should not panic
• [INTERRUPTED] [3.456 seconds]
[sig-node] Pods [It] should be broken off [Conformance]
• not the end of anything [1.0 seconds] of it
"
        .lines()
        .map(|line| tally.take(line))
        .filter(|seen| *seen != Seen::Nothing)
        .collect();
        let failed = Seen::Failed("[sig-apps] Deployment [It] should run [Conformance]".to_owned());
        assert_eq!(
            seen,
            [
                Seen::Progress,
                Seen::Progress,
                Seen::Progress,
                failed,
                Seen::Progress,
                Seen::Progress,
                Seen::Failed("[sig-node] Pods [It] should not panic".to_owned()),
            ]
        );
        assert_eq!((tally.total, tally.done, tally.failed), (Some(4), 4, 2));
        assert_eq!((tally.passed(), tally.skipped), (1, 1));
    }

    #[test]
    fn another_round_begins_anew() {
        let mut tally = Tally::default();
        tally.take("Will run 1 of 9 specs");
        tally.take("• [1.0 seconds]");
        tally.take("Will run 1 of 9 specs");
        assert_eq!((tally.total, tally.done), (Some(1), 0));
    }
}
