//! Just enough of ELF to tell a static program from one that asks for an interpreter.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Refuses a program that needs a dynamic loader.
///
/// # Errors
///
/// When the file cannot be read, is no 64-bit little-endian ELF, or names an interpreter.
pub(crate) fn check_static(program: &Path) -> Result<()> {
    let bytes =
        std::fs::read(program).with_context(|| format!("cannot read `{}`", program.display()))?;
    match interpreter(&bytes) {
        Some(None) => Ok(()),
        Some(Some(loader)) => {
            bail!(
                "`{}` is not static: it asks for `{loader}`",
                program.display()
            )
        }
        None => bail!(
            "`{}` is no 64-bit little-endian ELF program",
            program.display()
        ),
    }
}

/// The interpreter that the program headers name; `None` outside when `bytes` is no such file.
fn interpreter(bytes: &[u8]) -> Option<Option<String>> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let table = usize::try_from(u64_at(bytes, 0x20)?).ok()?;
    let entry_size = usize::from(u16_at(bytes, 0x36)?);
    let entries = usize::from(u16_at(bytes, 0x38)?);
    for index in 0..entries {
        let header = bytes.get(table.checked_add(index * entry_size)?..)?;
        if u32_at(header, 0)? == PT_INTERP {
            let start = usize::try_from(u64_at(header, 0x08)?).ok()?;
            let length = usize::try_from(u64_at(header, 0x20)?).ok()?;
            let name = bytes.get(start..start.checked_add(length)?)?;
            return Some(Some(
                String::from_utf8_lossy(name)
                    .trim_end_matches('\0')
                    .to_owned(),
            ));
        }
    }
    Some(None)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

const PT_INTERP: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_interpreter_is_static() {
        assert_eq!(interpreter(&program(&[1, 2])), Some(None));
        assert_eq!(interpreter(&program(&[])), Some(None));
    }

    #[test]
    fn an_interpreter_is_found_and_named() {
        let found = interpreter(&program(&[1, PT_INTERP]));
        assert_eq!(found, Some(Some("/lib64/ld.so".to_owned())));
    }

    #[test]
    fn other_files_and_cut_ones_are_told_apart_from_programs() {
        assert_eq!(interpreter(b"#!/bin/sh\n"), None);
        let whole = program(&[1, PT_INTERP]);
        for length in 0..whole.len() - 1 {
            assert_ne!(interpreter(&whole[..length]), Some(None), "cut at {length}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_test_program_is_not_static() {
        let error = check_static(&std::env::current_exe().unwrap()).unwrap_err();
        assert!(error.to_string().contains("asks for"), "{error}");
    }

    /// An ELF header, program headers of the given types, and the name of an interpreter.
    fn program(types: &[u32]) -> Vec<u8> {
        let name = b"/lib64/ld.so\0";
        let mut bytes = vec![0_u8; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[0x20..0x28].copy_from_slice(&64_u64.to_le_bytes());
        bytes[0x36..0x38].copy_from_slice(&56_u16.to_le_bytes());
        bytes[0x38..0x3a].copy_from_slice(&u16::try_from(types.len()).unwrap().to_le_bytes());
        for kind in types {
            let mut header = [0_u8; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            let at = (64 + types.len() * 56) as u64;
            header[0x08..0x10].copy_from_slice(&at.to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(name.len() as u64).to_le_bytes());
            bytes.extend(header);
        }
        bytes.extend(name);
        bytes
    }
}
