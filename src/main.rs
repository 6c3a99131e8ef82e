//! The binary: nothing but the start of the library.
fn main() {}
