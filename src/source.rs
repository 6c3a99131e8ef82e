//! Where Kubernetes comes from: released binaries, or binaries that are built from Go modules.

pub mod digest;
pub mod download;
pub mod modules;
pub mod release;
pub mod version_marker;
