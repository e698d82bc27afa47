//! The workspace folder on the operator's machine: what one cluster's runs leave there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// `<workspace>/<cluster>/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    directory: PathBuf,
    cluster: String,
}

impl Workspace {
    /// The folder of one cluster.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(root: &Path, cluster: &str) -> Result<Self, Failure> {
        let directory = root.join(cluster);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|error| {
                Failure::failed(format!(
                    "cannot make the folder `{}`: {error}",
                    directory.display()
                ))
                .hint("choose another folder with `--workspace`")
            })?;
        // ssh resolves a relative path against the home directory.
        let directory = fs::canonicalize(&directory).unwrap_or(directory);
        Ok(Self {
            directory,
            cluster: cluster.to_owned(),
        })
    }

    /// Its path.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Host keys of this cluster's machines.
    pub fn known_hosts(&self) -> PathBuf {
        self.directory.join("known_hosts")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join(format!("{}-kubeconfig", self.cluster))
    }

    /// Keeps the kubeconfig, readable by its owner only; true when there was none before, or one of another cluster.
    ///
    /// Each control plane has credentials of its own. Those of another one take their place, which is no change of the cluster.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_kubeconfig(&self, text: &str) -> Result<bool, Failure> {
        let path = self.kubeconfig();
        let private = |mode: u32| mode & 0o077 == 0;
        let is_private = fs::metadata(&path).is_ok_and(|meta| private(meta.permissions().mode()));
        let old = fs::read_to_string(&path).ok();
        if is_private && old.as_deref() == Some(text) {
            return Ok(false);
        }
        write_private(&path, text.as_bytes()).map_err(|error| {
            Failure::failed(format!("cannot write `{}`: {error}", path.display()))
        })?;
        let leads_there = |old: &str| clusters(old).is_some_and(|old| Some(old) == clusters(text));
        Ok(!is_private || !old.as_deref().is_some_and(leads_there))
    }

    /// Forgets the kubeconfig; the host keys stay, the machines are still the same.
    pub fn forget_kubeconfig(&self) {
        fs::remove_file(self.kubeconfig()).ok();
    }
}

/// Where a kubeconfig leads: addresses and authorities, without credentials.
fn clusters(kubeconfig: &str) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_saphyr::from_str(kubeconfig).ok()?;
    value.get_mut("clusters").map(serde_json::Value::take)
}

/// Writes a file that only its owner can read: a temporary name, synced, renamed.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("partial");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

/// A path as a person writes it: `~/` is the home directory.
pub fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubeconfig_is_private_and_rewritten_only_when_it_differs() {
        let root = tempfile::tempdir().expect("a directory");
        let workspace = Workspace::open(root.path(), "c").expect("a folder");
        assert!(workspace.keep_kubeconfig("one").expect("written"));
        assert!(!workspace.keep_kubeconfig("one").expect("nothing to do"));
        let path = workspace.kubeconfig();
        assert!(path.ends_with("c/c-kubeconfig"));
        let mode = fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(
            workspace
                .keep_kubeconfig("one")
                .expect("made private again")
        );
        let mode = fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn credentials_of_another_control_plane_are_no_change() {
        let root = tempfile::tempdir().expect("a directory");
        let workspace = Workspace::open(root.path(), "c").expect("a folder");
        let text = |server: &str, key: &str| {
            format!("clusters:\n- cluster: {{server: {server}}}\nusers:\n- user: {{key: {key}}}\n")
        };
        for (kubeconfig, changes) in [
            (text("a", "1"), true),
            (text("a", "2"), false),
            (text("b", "2"), true),
            ("{".to_owned(), true),
            (text("b", "2"), true),
        ] {
            let changed = workspace.keep_kubeconfig(&kubeconfig).expect("written");
            assert_eq!(changed, changes, "{kubeconfig}");
            let kept = fs::read_to_string(workspace.kubeconfig()).expect("it exists");
            assert_eq!(kept, kubeconfig);
        }
    }
}
