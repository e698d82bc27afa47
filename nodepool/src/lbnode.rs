//! The node binary as an artefact: its architecture, its checksum, its image.

use std::path::{Path, PathBuf};

use crate::digest;
use crate::oci::{self, Archive, Image};

/// `lbnode` as it goes onto the nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lbnode {
    /// Where the program is on the operator's machine.
    pub path: PathBuf,
    /// `amd64` or `arm64`, from its ELF header.
    pub architecture: String,
    /// SHA-256 of the program, in hex.
    pub sha256: String,
    /// Version and commit, as the program says itself; absent when it says nothing.
    pub version: Option<String>,
    /// Its image as an archive.
    pub image: Archive,
}

/// Begins the image's name, whatever the version.
pub const REPOSITORY: &str = "docker.io/library/lbnode:";

/// The image's name on the nodes: `lbnode:<version>`, as containerd completes it.
pub const IMAGE: &str = concat!("docker.io/library/lbnode:", env!("CARGO_PKG_VERSION"));

/// Path of the program on the nodes, for operators and for `lbctl status`.
pub const INSTALLED: &str = "/usr/local/bin/lbnode";

/// Why the program cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LbnodeFailure {
    /// It cannot be read.
    #[error("cannot read the node binary `{}`: {reason}", path.display())]
    Missing {
        /// Path that was tried.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// It is no Linux program, or one that needs libraries of the machine.
    #[error("`{}` cannot run in an empty image: {reason}", path.display())]
    Unsuitable {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Lbnode {
    /// Reads the program and makes its image.
    ///
    /// # Errors
    /// When it cannot be read or is not a statically linked Linux program for amd64 or arm64.
    pub fn load(path: &Path) -> Result<Self, LbnodeFailure> {
        let program = std::fs::read(path).map_err(|error| LbnodeFailure::Missing {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        let unsuitable = |reason: String| LbnodeFailure::Unsuitable {
            path: path.to_owned(),
            reason,
        };
        let architecture = architecture(&program)
            .map_err(|reason| unsuitable(reason.to_owned()))?
            .to_owned();
        let image = oci::archive(&Image {
            name: IMAGE,
            version: env!("CARGO_PKG_VERSION"),
            architecture: &architecture,
            program: &program,
        })
        .map_err(|error| unsuitable(error.to_string()))?;
        let sha256 = digest::sha256(&program);
        Ok(Self {
            path: path.to_owned(),
            architecture,
            version: version(&program),
            sha256,
            image,
        })
    }
}

/// `0.1.0 (commit 0123456789ab)`: what the words of `lbnode version` say without the target.
pub fn spoken_version(words: &str) -> Option<String> {
    let rest = words.strip_prefix("lbnode ")?;
    let (version, rest) = rest.split_once(" (commit ")?;
    let (commit, _) = rest.split_once([',', ')'])?;
    let plain = |text: &str| {
        let mut bytes = text.bytes();
        !text.is_empty() && bytes.all(|b| b.is_ascii_alphanumeric() || b".-+".contains(&b))
    };
    let number = version.starts_with(|first: char| first.is_ascii_digit());
    let known = number && plain(version) && plain(commit);
    known.then(|| format!("{version} (commit {commit})"))
}

/// Finds these words in the program; it may be for another processor than this one.
fn version(program: &[u8]) -> Option<String> {
    const WORDS: &[u8] = b"lbnode ";
    const LONGEST: usize = 128;
    let places = program
        .windows(WORDS.len())
        .enumerate()
        .filter(|(_, at)| *at == WORDS);
    let mut versions = places.filter_map(|(place, _)| {
        let end = program.len().min(place + LONGEST);
        let ascii = program[place..end]
            .iter()
            .take_while(|byte| byte.is_ascii());
        let text = String::from_utf8(ascii.copied().collect()).ok()?;
        spoken_version(&text)
    });
    versions.next()
}

/// Machine numbers of the ELF header (e_machine) that nodes may have.
const MACHINES: [(u16, &str); 2] = [(62, "amd64"), (183, "arm64")];
/// Program header type of the path of a dynamic loader.
const PT_INTERP: u32 = 3;

/// Architecture of a static 64-bit little-endian ELF program.
fn architecture(program: &[u8]) -> Result<&'static str, &'static str> {
    const NOT_ELF: &str = "not a 64-bit Linux program";
    if program.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(NOT_ELF);
    }
    let bytes = |at: usize, length: usize| program.get(at..at.checked_add(length)?);
    let half = |at: usize| Some(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_le_bytes(bytes(at, 8)?.try_into().ok()?));
    let machine = half(0x12).ok_or(NOT_ELF)?;
    let table = long(0x20)
        .and_then(|at| usize::try_from(at).ok())
        .ok_or(NOT_ELF)?;
    let (size, count) = half(0x36).zip(half(0x38)).ok_or(NOT_ELF)?;
    for index in 0..usize::from(count) {
        let at = index
            .checked_mul(usize::from(size))
            .and_then(|offset| table.checked_add(offset));
        if at.and_then(word).ok_or(NOT_ELF)? == PT_INTERP {
            return Err("it is linked dynamically (`cargo xtask dist` builds a static one)");
        }
    }
    let known = MACHINES.iter().find(|(number, _)| *number == machine);
    known
        .map(|(_, name)| *name)
        .ok_or("neither amd64 nor arm64")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A minimal ELF header with one program header of type `kind`.
    pub(crate) fn elf(machine: u16, kind: u32) -> Vec<u8> {
        let mut program = vec![0; 64 + 56];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[0x12..0x14].copy_from_slice(&machine.to_le_bytes());
        program[0x20..0x28].copy_from_slice(&64u64.to_le_bytes());
        program[0x36..0x38].copy_from_slice(&56u16.to_le_bytes());
        program[0x38..0x3a].copy_from_slice(&1u16.to_le_bytes());
        program[64..68].copy_from_slice(&kind.to_le_bytes());
        program
    }

    #[test]
    fn a_program_tells_its_version() {
        let words = "lbnode 0.1.0 (commit 0123456789ab, x86_64-unknown-linux-gnu)\n";
        let mut program = elf(62, 1);
        assert_eq!(version(&program), None);
        program.extend_from_slice(b"\xff\x00lbnode is (commit \x80lbnode lbnode probe");
        program.extend_from_slice(words.as_bytes());
        program.extend_from_slice(b"next literal");
        let expected = "0.1.0 (commit 0123456789ab)";
        assert_eq!(version(&program).as_deref(), Some(expected));
        assert_eq!(spoken_version(words.trim()).as_deref(), Some(expected));
        assert_eq!(spoken_version("lbnode 0"), None);
    }

    #[test]
    fn the_header_tells_architecture_and_linking() {
        assert_eq!(architecture(&elf(62, 1)), Ok("amd64"));
        assert_eq!(architecture(&elf(183, 1)), Ok("arm64"));
        assert!(architecture(&elf(8, 1)).is_err());
        assert!(
            architecture(&elf(62, PT_INTERP))
                .expect_err("dynamic")
                .contains("dynamically")
        );
        assert!(architecture(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn a_cut_program_is_refused_without_a_panic() {
        let program = elf(62, 1);
        for length in 0..program.len() - 56 {
            assert!(architecture(&program[..length]).is_err());
        }
    }
}
