//! The few kernel settings that a lab changes for the whole host, and their way back.
//!
//! A kubelet writes its own idea of three settings that belong to the host, and several kubelets
//! need more inotify instances than there are by default. The values found before the first lab
//! are kept in `/run` (they do not survive a reboot either) until the last lab goes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::paths::Prefix;

/// Written by kubelets, except for the last, which the lab itself raises.
const TUNED: [&str; 4] = [
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
    INOTIFY,
];
const INOTIFY: &str = "fs/inotify/max_user_instances";
const INOTIFY_INSTANCES: u32 = 8192;

/// The host's settings and who has borrowed them.
#[derive(Debug)]
pub(crate) struct Settings {
    register: PathBuf,
    kernel: PathBuf,
}

impl Settings {
    pub(crate) fn of_this_host() -> Self {
        Self {
            register: PathBuf::from("/run/lbnode-lab"),
            kernel: PathBuf::from("/proc/sys"),
        }
    }

    /// Notes that the lab `prefix` with its state in `state` runs.
    ///
    /// # Errors
    /// When a lab of that prefix runs with another state directory.
    pub(crate) fn borrow(&self, prefix: &Prefix, state: &Path) -> Result<()> {
        let _lock = self.lock()?;
        let note = self.borrowers().join(prefix.as_str());
        if let Some(other) = self.state_noted_in(&note)
            && other != state
        {
            anyhow::bail!(
                "a lab with the prefix `{prefix}` runs already, with its state in {}; \
                 set LBNODE_LAB_DIR accordingly, or choose another prefix",
                other.display()
            );
        }
        let saved = self.saved();
        if !saved.exists() {
            let values: Vec<String> = TUNED
                .iter()
                .map(|name| Ok(format!("{name} {}", self.read(name)?)))
                .collect::<Result<_>>()?;
            fs::write(&saved, values.join("\n") + "\n")?;
        }
        fs::write(note, format!("{}\n{}\n", boot_id(), state.display()))?;
        self.write(INOTIFY, &INOTIFY_INSTANCES.to_string())
    }

    /// Notes that the lab is gone; after the last one everything is as it was found.
    pub(crate) fn give_back(&self, prefix: &Prefix) -> Result<()> {
        let _lock = self.lock()?;
        let _ = fs::remove_file(self.borrowers().join(prefix.as_str()));
        if self.borrowed_by_anybody()? {
            return Ok(());
        }
        if let Ok(values) = fs::read_to_string(self.saved()) {
            for (name, value) in values.lines().filter_map(|line| line.split_once(' ')) {
                self.write(name, value)?;
            }
            fs::remove_file(self.saved())?;
        }
        Ok(())
    }

    /// Whether a lab of this boot is noted; notes of an earlier boot are removed.
    fn borrowed_by_anybody(&self) -> Result<bool> {
        let mut any = false;
        for entry in fs::read_dir(self.borrowers())? {
            let note = entry?.path();
            if self.state_noted_in(&note).is_some() {
                any = true;
            } else {
                fs::remove_file(note)?;
            }
        }
        Ok(any)
    }

    fn state_noted_in(&self, note: &Path) -> Option<PathBuf> {
        let text = fs::read_to_string(note).ok()?;
        let (boot, state) = text.trim_end().split_once('\n')?;
        (boot == boot_id()).then(|| PathBuf::from(state))
    }

    fn lock(&self) -> Result<File> {
        fs::create_dir_all(self.borrowers())
            .with_context(|| format!("cannot create {}", self.borrowers().display()))?;
        let lock = File::create(self.register.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    fn borrowers(&self) -> PathBuf {
        self.register.join("labs")
    }

    fn saved(&self) -> PathBuf {
        self.register.join("saved-settings")
    }

    fn read(&self, name: &str) -> Result<String> {
        let text = fs::read_to_string(self.kernel.join(name))
            .with_context(|| format!("cannot read the kernel setting {name}"))?;
        Ok(text.trim().to_owned())
    }

    fn write(&self, name: &str, value: &str) -> Result<()> {
        fs::write(self.kernel.join(name), value)
            .with_context(|| format!("cannot set the kernel setting {name}"))
    }
}

/// What tells this boot of the host from the ones before.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(root: &Path) -> Settings {
        let kernel = root.join("kernel");
        for (name, value) in TUNED.iter().zip(["0", "1", "2", "128"]) {
            let file = kernel.join(name);
            fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
            fs::write(file, format!("{value}\n")).expect("a setting");
        }
        Settings {
            register: root.join("register"),
            kernel,
        }
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().expect("a prefix")
    }

    #[test]
    fn the_last_lab_restores_what_the_first_found() {
        let root = tempfile::tempdir().expect("a directory");
        let settings = settings(root.path());
        settings.borrow(&prefix("a"), Path::new("/a")).expect("a");
        settings
            .write("kernel/panic", "10")
            .expect("as a kubelet does");
        settings.borrow(&prefix("b"), Path::new("/b")).expect("b");
        settings.give_back(&prefix("a")).expect("a goes");
        assert_eq!(settings.read(INOTIFY).expect("value"), "8192");
        assert_eq!(settings.read("kernel/panic").expect("value"), "10");
        settings.give_back(&prefix("b")).expect("b goes");
        assert_eq!(settings.read(INOTIFY).expect("value"), "128");
        assert_eq!(settings.read("kernel/panic").expect("value"), "1");
        assert!(!settings.saved().exists());
    }

    #[test]
    fn a_lab_of_an_earlier_boot_does_not_count() {
        let root = tempfile::tempdir().expect("a directory");
        let settings = settings(root.path());
        settings.borrow(&prefix("a"), Path::new("/a")).expect("a");
        fs::write(settings.borrowers().join("old"), "another-boot\n/old\n").expect("a note");
        settings.give_back(&prefix("a")).expect("a goes");
        assert_eq!(settings.read(INOTIFY).expect("value"), "128");
    }

    #[test]
    fn one_prefix_has_one_state_directory() {
        let root = tempfile::tempdir().expect("a directory");
        let settings = settings(root.path());
        settings.borrow(&prefix("a"), Path::new("/one")).expect("a");
        settings
            .borrow(&prefix("a"), Path::new("/one"))
            .expect("again");
        let error = settings
            .borrow(&prefix("a"), Path::new("/other"))
            .expect_err("refused");
        assert!(error.to_string().contains("/one"), "{error}");
    }
}
