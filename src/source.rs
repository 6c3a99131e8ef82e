//! Where Kubernetes comes from: released binaries, Go modules, a source tree, URLs.

pub mod digest;
pub mod download;
mod sha1;
