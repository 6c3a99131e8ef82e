//! SHA-1, for the digests that older publishers give beside their files. It guards against damage, not against
//! an attacker who can make collisions: give a SHA-256 where there is a choice.

use std::num::Wrapping;

const BLOCK: usize = 64;

pub(super) struct Sha1 {
    state: [Wrapping<u32>; 5],
    pending: Vec<u8>,
    length: u64,
}

impl Sha1 {
    pub(super) fn new() -> Self {
        Self {
            state: [
                0x6745_2301,
                0xefcd_ab89,
                0x98ba_dcfe,
                0x1032_5476,
                0xc3d2_e1f0,
            ]
            .map(Wrapping),
            pending: Vec::with_capacity(BLOCK),
            length: 0,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        self.absorb(bytes);
    }

    pub(super) fn finish(mut self) -> [u8; 20] {
        let bits = self.length.wrapping_mul(8);
        let filled = self.pending.len() + 1 + size_of::<u64>();
        let zeros = filled.next_multiple_of(BLOCK) - filled;
        let mut padding = vec![0; 1 + zeros];
        padding[0] = 0x80;
        padding.extend(bits.to_be_bytes());
        self.absorb(&padding);

        let mut digest = [0; 20];
        for (target, word) in digest.chunks_exact_mut(4).zip(self.state) {
            target.copy_from_slice(&word.0.to_be_bytes());
        }
        digest
    }

    fn absorb(&mut self, mut bytes: &[u8]) {
        while self.pending.len() + bytes.len() >= BLOCK {
            let (head, rest) = bytes.split_at(BLOCK - self.pending.len());
            self.pending.extend(head);
            let block = std::mem::take(&mut self.pending);
            self.compress(&block);
            self.pending = block;
            self.pending.clear();
            bytes = rest;
        }
        self.pending.extend(bytes);
    }

    #[expect(clippy::many_single_char_names, reason = "the names of the standard")]
    fn compress(&mut self, block: &[u8]) {
        let schedule = schedule(block);
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (round, word) in schedule.into_iter().enumerate() {
            let (mix, constant) = match round {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = rotated(a, 5) + mix + e + Wrapping(constant) + Wrapping(word);
            (a, b, c, d, e) = (next, a, rotated(b, 30), c, d);
        }
        for (word, add) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *word += add;
        }
    }
}

fn rotated(word: Wrapping<u32>, by: u32) -> Wrapping<u32> {
    Wrapping(word.0.rotate_left(by))
}

fn schedule(block: &[u8]) -> [u32; 80] {
    let mut words = [0u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    for index in 16..80 {
        let mixed = words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16];
        words[index] = mixed.rotate_left(1);
    }
    words
}
