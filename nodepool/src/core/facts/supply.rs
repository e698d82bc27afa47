//! How software comes to a machine: its package manager, and what that knows of.

use std::collections::BTreeSet;

/// What installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PackageManager {
    /// Debian's family.
    Apt,
    /// Red Hat's family.
    Dnf,
}

/// How more software can come to a machine, and what was begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Supply {
    /// Its package manager; absent: none that is known.
    pub manager: Option<PackageManager>,
    /// Addresses of the package repositories that somebody else has configured, without a slash at the end.
    pub repositories: BTreeSet<String>,
    /// An installation of packages by `lbctl` has not come to its end.
    pub unfinished: bool,
    /// Version of an installed kubectl.
    pub kubectl: Option<String>,
}

impl PackageManager {
    /// Its name, as scripts and the report have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
        }
    }
}

impl Supply {
    /// Takes a line of the report; another's is left alone.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "package_manager" => {
                self.manager = Some(match value {
                    "apt" => PackageManager::Apt,
                    "dnf" => PackageManager::Dnf,
                    _ => return None,
                });
            }
            "repository" => {
                let address = value.trim_end_matches('/').to_owned();
                self.repositories.insert(address);
            }
            "packages" => self.unfinished = value == "begun",
            "kubectl" => self.kubectl = Some(value.to_owned()),
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Facts;
    use super::*;

    #[test]
    fn package_manager_and_repositories_are_read() {
        let report = "package_manager=apt\nrepository=http://deb.debian.org/debian\n\
            repository=https://pkgs.k8s.io/core:/stable:/v1.36/deb/\npackages=begun\nkubectl=v1.36.3\nend=1\n";
        let supply = Facts::parse(report).expect("complete").supply;
        assert_eq!(supply.manager, Some(PackageManager::Apt));
        let repository = "https://pkgs.k8s.io/core:/stable:/v1.36/deb";
        assert!(supply.repositories.contains(repository));
        assert!(supply.unfinished);
        assert_eq!(supply.kubectl.as_deref(), Some("v1.36.3"));
        assert!(Facts::parse("package_manager=pacman\nend=1").is_err());
        let none = Facts::parse("end=1").expect("complete").supply;
        assert_eq!(none, Supply::default());
    }
}
