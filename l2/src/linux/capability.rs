//! Which capabilities this process has, so that a missing one can be named.

use std::fmt;
use std::fs;
use std::io;

use super::sys;

/// A capability of Linux (`man 7 capabilities`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Addresses, links.
    NetAdmin = 12,
    /// Raw and packet sockets.
    NetRaw = 13,
    /// Locked memory.
    IpcLock = 14,
    /// Realtime scheduling.
    SysNice = 23,
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::IpcLock => "CAP_IPC_LOCK",
            Self::SysNice => "CAP_SYS_NICE",
        })
    }
}

/// Capabilities that are needed and missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Missing(Vec<Capability>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        write!(
            f,
            "needs {}: run it as root, or add the capability to the container or the file",
            names.join(" and ")
        )
    }
}

/// Puts into effect what this thread is permitted, and with it the threads that it starts later.
///
/// A program that its file permits something (`setcap …=p`) runs under any user without being root, and with
/// nothing more in effect than it asks for.
///
/// # Errors
/// The kernel's.
pub fn raise() -> io::Result<()> {
    sys::raise_permitted()
}

/// Checks that this process has all of them in effect.
///
/// # Errors
/// The ones that are missing. When the kernel does not say, nothing is missing: the system call that
/// needs it will tell.
pub fn require(needed: &[Capability]) -> Result<(), Missing> {
    let Ok(effective) = effective() else {
        return Ok(());
    };
    let missing: Vec<_> = needed
        .iter()
        .copied()
        .filter(|one| effective & (1 << *one as u8) == 0)
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Missing(missing))
    }
}

fn effective() -> io::Result<u64> {
    parse(&fs::read_to_string("/proc/thread-self/status")?).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "no `CapEff` in /proc/thread-self/status",
        )
    })
}

fn parse(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_effective_set() {
        let status = "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000003000\n";
        assert_eq!(parse(status), Some(1 << 12 | 1 << 13));
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    fn what_is_permitted_comes_into_effect() {
        raise().unwrap();
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let permitted = status
            .lines()
            .find_map(|line| line.strip_prefix("CapPrm:"))
            .map(str::trim);
        assert_eq!(
            permitted.and_then(|set| u64::from_str_radix(set, 16).ok()),
            parse(&status)
        );
    }

    #[test]
    fn missing_ones_are_named() {
        let missing = Missing(vec![Capability::NetRaw, Capability::NetAdmin]);
        assert!(
            missing
                .to_string()
                .starts_with("needs CAP_NET_RAW and CAP_NET_ADMIN:")
        );
    }
}
