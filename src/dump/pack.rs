//! The packed form of a dump. PURE.
//!
//! The text form, compressed as `lzma` does it, in base64, in lines of 100, between two lines that say so. The older tool
//! reads no other compression; what it or others have compressed as `xz` does is read, too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use liblzma::read::XzDecoder;
use liblzma::stream::{LzmaOptions, Stream};
use liblzma::write::XzEncoder;
use std::io::{self, Read, Write};

/// The line before the packed text.
pub const START: &str = "%%% start-base64 %%%";
/// The line after it.
pub const END: &str = "%%% end-base64 %%%";
/// The length of its lines.
pub const WIDTH: usize = 100;

/// How well and how slowly: `lzma`'s own default.
const PRESET: u32 = 6;
/// What unpacking may hold: far more than `lzma -9` asks for.
const MEMORY: u64 = 256 << 20;

/// Takes text and writes its packed form.
pub struct Packer<W: Write>(XzEncoder<Lines<W>>);

impl<W: Write> std::fmt::Debug for Packer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

impl<W: Write> Packer<W> {
    /// Begins with the line that says so.
    pub fn begin(mut out: W) -> io::Result<Self> {
        writeln!(out, "{START}")?;
        let options = LzmaOptions::new_preset(PRESET)?;
        let stream = Stream::new_lzma_encoder(&options)?;
        let lines = Lines {
            out,
            pending: Vec::new(),
        };
        Ok(Self(XzEncoder::new_stream(lines, stream)))
    }

    /// Ends with the line that says so.
    pub fn finish(self) -> io::Result<W> {
        let mut lines = self.0.finish()?;
        lines.line()?;
        writeln!(lines.out, "{END}")?;
        lines.out.flush()?;
        Ok(lines.out)
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // What is compressed comes out when there is enough of it.
        Ok(())
    }
}

/// Bytes in, lines of base64 out.
struct Lines<W> {
    out: W,
    pending: Vec<u8>,
}

/// What one line holds.
const BYTES: usize = WIDTH / 4 * 3;

impl<W: Write> Lines<W> {
    fn line(&mut self) -> io::Result<()> {
        let some = self.pending.len().min(BYTES);
        if some > 0 {
            let line = STANDARD.encode(&self.pending[..some]);
            writeln!(self.out, "{line}")?;
            self.pending.drain(..some);
        }
        Ok(())
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Little at a time: what is drained is moved.
        let some = bytes.len().min(8 * BYTES);
        self.pending.extend_from_slice(&bytes[..some]);
        while self.pending.len() >= BYTES {
            self.line()?;
        }
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Decodes a line, or a part of one; none where it is no base64.
pub fn decode(line: &str) -> Option<Vec<u8>> {
    STANDARD.decode(line).ok()
}

/// Gives what was compressed, `lzma` or `xz`. An error comes where it is damaged, after all that is whole before it.
pub fn unpack<R: Read>(packed: R) -> io::Result<impl Read + use<R>> {
    let stream = Stream::new_auto_decoder(MEMORY, 0)?;
    Ok(XzDecoder::new_stream(packed, stream))
}

/// Compresses as `xz` does.
pub fn xz<W: Write>(out: W) -> XzEncoder<W> {
    XzEncoder::new(out, PRESET)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(text: &[u8]) -> String {
        let mut packer = Packer::begin(Vec::new()).unwrap();
        packer.write_all(text).unwrap();
        String::from_utf8(packer.finish().unwrap()).unwrap()
    }

    fn unpacked(lines: &[&str]) -> io::Result<Vec<u8>> {
        let bytes: Vec<u8> = lines
            .iter()
            .flat_map(|line| decode(line).unwrap())
            .collect();
        let mut text = Vec::new();
        unpack(bytes.as_slice())?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn damage_is_an_error_after_what_is_whole() {
        let text: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).to_string().into_bytes())
            .collect();
        let packed = packed(&text);
        let lines: Vec<&str> = packed.lines().collect();
        let half: Vec<u8> = lines[1..lines.len() / 2]
            .iter()
            .flat_map(|line| decode(line).unwrap())
            .collect();
        let mut reader = unpack(half.as_slice()).unwrap();
        let (mut found, mut part) = (Vec::new(), [0; 4096]);
        let error = loop {
            match reader.read(&mut part) {
                Ok(0) => panic!("a cut stream has no good end"),
                Ok(some) => found.extend_from_slice(&part[..some]),
                Err(error) => break error,
            }
        };
        assert!(!error.to_string().is_empty());
        assert!(found.len() > text.len() / 3 && text.starts_with(&found));
        assert!(unpacked(&["////"]).is_err());
    }

    #[test]
    fn xz_is_read_too() {
        let mut encoder = xz(Vec::new());
        encoder.write_all(b"some words").unwrap();
        let packed = encoder.finish().unwrap();
        let mut text = String::new();
        unpack(packed.as_slice())
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "some words");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn what_is_packed_is_unpacked(text in prop::collection::vec(any::<u8>(), 0..3000)) {
            let packed = packed(&text);
            let lines: Vec<&str> = packed.lines().collect();
            prop_assert_eq!((lines[0], lines[lines.len() - 1]), (START, END));
            let inner = &lines[1..lines.len() - 1];
            prop_assert!(inner.iter().rev().skip(1).all(|line| line.len() == WIDTH));
            prop_assert_eq!(unpacked(inner).unwrap(), text);
        }

        #[test]
        fn any_bytes_are_refused_or_unpacked(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut reader = unpack(bytes.as_slice()).unwrap().take(1 << 20);
            let _ = io::copy(&mut reader, &mut io::sink());
        }
    }
}
