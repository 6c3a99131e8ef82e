//! Where Kubernetes comes from: released binaries, Go modules, a source tree, URLs.

pub mod digest;
pub mod download;
pub mod modules;
pub mod release;
mod sha1;
pub mod version_marker;
