//! Images into nodes: one stream from the engine or from a file, of which each node is sent what it does not have.
//!
//! An archive's table of contents comes last, so the stream is laid into a spool file first, and hashed on its way
//! (`archive`). Then it is known which images it has (`image`) and, of what each node's runtime says (`held`), which
//! blobs each node lacks (`bundle`). All but `send` and `ask` are pure, or take readers and writers.

mod archive;
mod bundle;
mod digest;
mod held;
mod image;
pub mod name;
mod send;

pub use archive::{Archive, ArchiveError, Compression, Content};
pub use bundle::{Bundle, Bytes, Part};
pub use digest::Digest;
pub use held::{Held, Named};
pub use image::{Image, Layer, Manifest, images, listed};
pub use send::{ask, send};

#[cfg(test)]
mod sample;
