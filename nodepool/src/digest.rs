//! SHA-256 in hex.

use std::fmt::Write as _;
use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

/// SHA-256 of `bytes`, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of everything `source` gives, in hex.
///
/// # Errors
/// When reading fails.
pub fn sha256_of(mut source: impl Read) -> io::Result<String> {
    let mut state = Sha256::new();
    let mut chunk = vec![0; 1 << 18];
    loop {
        let read = source.read(&mut chunk)?;
        if read == 0 {
            return Ok(hex(&state.finalize()));
        }
        state.update(&chunk[..read]);
    }
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String cannot fail.
            write!(text, "{byte:02x}").ok();
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_with_the_standard() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
        assert_eq!(sha256_of(&b"abc"[..]).expect("memory reads"), abc);
    }
}
