//! Kubernetes' package repository on a machine: which address, which key, which packages.

use super::NodeFile;
use crate::core::facts::PackageManager;
use crate::packages::Packages;

/// The repository for apt.
pub const APT_SOURCE: &str = "/etc/apt/sources.list.d/lbctl-kubernetes.sources";
/// Its key: apt reads armoured keys from files that end in `.asc`.
pub const APT_KEY: &str = "/etc/apt/keyrings/lbctl-kubernetes.asc";
/// The repository for dnf.
pub const DNF_SOURCE: &str = "/etc/yum.repos.d/lbctl-kubernetes.repo";
/// Its key.
pub const DNF_KEY: &str = "/etc/pki/rpm-gpg/lbctl-kubernetes.asc";
/// Kubernetes' community repositories, one a minor version.
const COMMUNITY: &str = "https://pkgs.k8s.io/core:/stable:";

/// The repository's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its address, without a slash at the end.
    pub address: String,
    /// What tells the package manager about it.
    pub source: NodeFile,
    /// Where its key is.
    pub key: Key,
}

/// The key that signs a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// It is brought.
    File(NodeFile),
    /// The machine fetches it.
    At {
        /// From where.
        address: String,
        /// To where.
        path: &'static str,
    },
}

/// Where the key is on a machine with this package manager.
pub const fn key_path(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Apt => APT_KEY,
        PackageManager::Dnf => DNF_KEY,
    }
}

/// The repository with packages of this version, for this package manager.
pub fn repository(packages: &Packages, manager: PackageManager) -> Repository {
    let (major, minor) = packages.version.series();
    let kind = match manager {
        PackageManager::Apt => "deb",
        PackageManager::Dnf => "rpm",
    };
    let community = format!("{COMMUNITY}/v{major}.{minor}/{kind}");
    let address = packages.mirror.as_ref().unwrap_or(&community).clone();
    let path = key_path(manager);
    let fetched = match manager {
        PackageManager::Apt => "Release.key",
        PackageManager::Dnf => "repodata/repomd.xml.key",
    };
    let key = match &packages.key {
        Some(key) => Key::File(NodeFile::public(path, key.as_str())),
        None => Key::At {
            address: format!("{community}/{fetched}"),
            path,
        },
    };
    let source = match manager {
        PackageManager::Apt => NodeFile::public(
            APT_SOURCE,
            format!(
                "# written by lbctl\nTypes: deb\nURIs: {address}/\nSuites: /\nSigned-By: {APT_KEY}\n"
            ),
        ),
        PackageManager::Dnf => NodeFile::public(
            DNF_SOURCE,
            format!(
                "# written by lbctl; what is excluded stays at its version\n[lbctl-kubernetes]\nname=Kubernetes\nbaseurl={address}/\nenabled=1\n\
                 gpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{DNF_KEY}\n\
                 exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni\n"
            ),
        ),
    };
    Repository {
        address,
        source,
        key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::version::Version;

    fn packages(mirror: Option<&str>, key: Option<&str>) -> Packages {
        Packages {
            version: Version::parse("v1.36.3").expect("a version"),
            mirror: mirror.map(str::to_owned),
            key: key.map(str::to_owned),
        }
    }

    #[test]
    fn the_community_s_repository_is_that_of_the_minor_version() {
        let apt = repository(&packages(None, None), PackageManager::Apt);
        assert_eq!(
            apt.source.content,
            "# written by lbctl\nTypes: deb\nURIs: https://pkgs.k8s.io/core:/stable:/v1.36/deb/\nSuites: /\n\
             Signed-By: /etc/apt/keyrings/lbctl-kubernetes.asc\n"
        );
        let address = "https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key";
        assert_eq!(
            apt.key,
            Key::At {
                address: address.to_owned(),
                path: APT_KEY
            }
        );
        let dnf = repository(&packages(None, None), PackageManager::Dnf);
        let expected = [
            "[lbctl-kubernetes]",
            "baseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/",
            "gpgcheck=1",
            "repo_gpgcheck=1",
            "gpgkey=file:///etc/pki/rpm-gpg/lbctl-kubernetes.asc",
            "exclude=kubelet kubeadm kubectl cri-tools kubernetes-cni",
        ];
        for line in expected {
            assert!(dnf.source.content.lines().any(|one| one == line), "{line}");
        }
        let address = "https://pkgs.k8s.io/core:/stable:/v1.36/rpm/repodata/repomd.xml.key";
        assert!(matches!(&dnf.key, Key::At { address: found, .. } if found == address));
    }

    #[test]
    fn an_own_repository_takes_its_place_with_its_own_key() {
        let own = packages(Some("http://mirror.example/k8s/deb"), Some("KEY"));
        let repository = repository(&own, PackageManager::Apt);
        assert_eq!(repository.address, "http://mirror.example/k8s/deb");
        let text = &repository.source.content;
        assert!(text.contains("URIs: http://mirror.example/k8s/deb/\n"));
        assert_eq!(repository.key, Key::File(NodeFile::public(APT_KEY, "KEY")));
    }
}
