//! Digests of files: what is expected, and what is there.

use std::fmt::{self, Write as _};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256, Sha512};

/// What a file must have, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// SHA-256, 64 digits.
    Sha256(String),
    /// SHA-512, 128 digits.
    Sha512(String),
}

impl Expected {
    /// The digits, as they were given.
    pub fn hex(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::Sha512(hex) => hex,
        }
    }

    /// Whether it has as many hexadecimal digits as its algorithm makes.
    pub fn is_well_formed(&self) -> bool {
        let digits = match self {
            Self::Sha256(_) => 64,
            Self::Sha512(_) => 128,
        };
        self.hex().len() == digits && self.hex().bytes().all(|byte| byte.is_ascii_hexdigit())
    }

    /// Whether these are the same digits; case is nothing.
    pub(super) fn equals(&self, hex: &str) -> bool {
        self.hex().eq_ignore_ascii_case(hex)
    }

    pub(super) fn hasher(&self) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::Sha512(_) => Hasher::Sha512(Sha512::new()),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Sha256(_) => "sha256",
            Self::Sha512(_) => "sha512",
        };
        write!(formatter, "{name}:{}", self.hex())
    }
}

/// A digest in the making.
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Sha512(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// Feeds a file to a digest; gives the digest back, and how long the file is.
pub(super) async fn read_into(mut hasher: Hasher, path: PathBuf) -> io::Result<(Hasher, u64)> {
    let read = move || {
        let mut file = std::fs::File::open(path)?;
        let mut buffer = vec![0; 256 * 1024];
        let mut length = 0;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok((hasher, length)),
                count => {
                    hasher.update(&buffer[..count]);
                    length += count as u64;
                }
            }
        }
    };
    tokio::task::spawn_blocking(read)
        .await
        .map_err(io::Error::other)?
}

/// The SHA-256 of a file.
pub async fn sha256_of(path: &Path) -> io::Result<String> {
    let hasher = Hasher::Sha256(Sha256::new());
    Ok(read_into(hasher, path.to_owned()).await?.0.finish())
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(expected: &Expected, text: &str, step: usize) -> String {
        let mut hasher = expected.hasher();
        for chunk in text.as_bytes().chunks(step) {
            hasher.update(chunk);
        }
        hasher.finish()
    }

    #[test]
    fn known_digests() {
        let sha256 = Expected::Sha256(String::new());
        assert_eq!(
            digest(&sha256, "abc", 1),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn well_formed_digests_have_the_right_length_and_digits() {
        assert!(Expected::Sha256("A".repeat(64)).is_well_formed());
        assert!(!Expected::Sha256("a".repeat(40)).is_well_formed());
        assert!(!Expected::Sha512("g".repeat(128)).is_well_formed());
    }
}
