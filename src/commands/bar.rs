//! The progress of bytes that go somewhere.

use crate::report::{Event, Reporter, Unit};

/// A bar that moves by megabytes.
pub(super) struct Bar {
    reporter: Reporter,
    item: String,
    total: Option<u64>,
    shown: u64,
}

impl Bar {
    const STEP: u64 = 1 << 20;

    pub(super) fn new(reporter: &Reporter, item: &str, total: Option<u64>) -> Self {
        Self {
            reporter: reporter.clone(),
            item: item.to_owned(),
            total,
            shown: 0,
        }
    }

    pub(super) fn show(&mut self, done: u64) {
        if done >= self.shown + Self::STEP {
            self.shown = done;
            self.reporter.send(Event::Progress {
                item: self.item.clone(),
                done,
                // What the engine says of an image's size is not to the byte.
                total: self.total.map(|total| total.max(done)),
                unit: Unit::Bytes,
                failed: None,
            });
        }
    }

    pub(super) fn finish(&self) {
        self.reporter.send(Event::ProgressFinished {
            item: self.item.clone(),
        });
    }
}
