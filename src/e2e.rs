//! Kubernetes' own end-to-end tests: which are meant, what they need, and what became of them. PURE.

mod failures;
mod focus;
mod images;
mod output;
pub mod suite;

pub use failures::{Failure, failures};
pub use focus::{Choice, quote};
pub use images::{Chosen, Need, Source};
pub use output::{Seen, Tally};
