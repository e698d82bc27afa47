//! Packages of the machines' distribution as the source of Kubernetes' software.

use std::path::Path;

use crate::core::version::Version;

/// Which version is asked for, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// The version of Kubernetes.
    pub version: Version,
    /// A repository of the operator's own; absent: that of pkgs.k8s.io.
    pub mirror: Option<String>,
    /// The key, or keys, that sign the repository, as text; absent: the machines fetch that of pkgs.k8s.io.
    pub key: Option<String>,
}

/// Why packages cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackagesFailure {
    /// Not a version.
    #[error("`{0}` is no version of Kubernetes: it must look like `v1.36.3`")]
    Version(String),
    /// An address that no package manager could use.
    #[error(
        "`{0}` is no address of a package repository: it must begin with `https://` or `http://` and hold no blanks or quotes"
    )]
    Repository(String),
    /// The key cannot be read.
    #[error("cannot read the key `{path}`: {reason}")]
    Key {
        /// The file.
        path: String,
        /// What the system says, or what is wrong in it.
        reason: String,
    },
}

/// How an armoured public key begins.
const ARMOUR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// A file that has this is none to give away.
const PRIVATE: &str = "PRIVATE KEY BLOCK";

impl Packages {
    /// Packages of this version, from that repository, signed by what is in that file.
    ///
    /// # Errors
    /// When the version or the address is none, or the file holds no public key.
    pub fn load(
        version: &str,
        mirror: Option<&str>,
        key: Option<&Path>,
    ) -> Result<Self, PackagesFailure> {
        let exact = Version::parse_exact(version);
        let version = exact.ok_or_else(|| PackagesFailure::Version(version.to_owned()))?;
        if let Some(address) = mirror
            && !is_address(address)
        {
            return Err(PackagesFailure::Repository(address.to_owned()));
        }
        let key = key.map(read_key).transpose()?;
        Ok(Self {
            version,
            mirror: mirror.map(|address| address.trim_end_matches('/').to_owned()),
            key,
        })
    }
}

/// It ends up in files that package managers read line by line.
fn is_address(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\' | '`');
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
}

fn read_key(path: &Path) -> Result<String, PackagesFailure> {
    let failure = |reason: String| PackagesFailure::Key {
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failure(error.to_string()))?;
    if text.contains(PRIVATE) {
        return Err(failure("it holds a private key".to_owned()));
    }
    if !text.contains(ARMOUR) {
        return Err(failure(format!(
            "there is no `{ARMOUR}` in it (`gpg --armor --export` makes one)"
        )));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.asc");
        std::fs::write(&path, text).expect("a file");
        (folder, path)
    }

    #[test]
    fn version_repository_and_key_are_read() {
        let (_folder, path) = key(&format!("{ARMOUR}\nabc\n"));
        let mirror = "http://10.10.0.2:8080/core:/stable:/v1.36/deb/";
        let packages = Packages::load("1.36.3", Some(mirror), Some(&path)).expect("it is good");
        assert_eq!(packages.version.to_string(), "v1.36.3");
        let kept = "http://10.10.0.2:8080/core:/stable:/v1.36/deb";
        assert_eq!(packages.mirror.as_deref(), Some(kept));
        assert!(packages.key.is_some_and(|key| key.starts_with(ARMOUR)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |version: &str, mirror: Option<&str>, key: Option<&Path>| {
            let failure = Packages::load(version, mirror, key).expect_err("it is wrong");
            failure.to_string()
        };
        assert!(said("1.36", None, None).starts_with("`1.36` is no version"));
        for address in ["ftp://x/", "http://", "https://a b/", "https://a\nb", "x"] {
            let text = said("v1.36.3", Some(address), None);
            assert!(text.contains("is no address"), "{text}");
        }
        let cases = [
            ("abc", "there is no"),
            ("-----BEGIN PGP PRIVATE KEY BLOCK-----", "a private key"),
        ];
        for (text, expected) in cases {
            let (_folder, path) = key(text);
            let text = said("v1.36.3", None, Some(&path));
            assert!(text.contains(expected), "{text}");
        }
        assert!(said("v1.36.3", None, Some(Path::new("/nowhere"))).contains("/nowhere"));
    }
}
