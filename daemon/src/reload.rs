//! Notices that the content of a file changed.
//!
//! It polls and compares contents: notifications of the kernel miss what happens behind a ConfigMap's
//! symbolic links and on the other side of a bind mount. Mount the *directory* of a file that is replaced
//! by renaming: a bind mount of the file itself keeps showing the old one.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

/// Watches the content of one file of at most 1 MiB.
#[derive(Debug)]
pub struct ContentWatch {
    path: PathBuf,
    period: Duration,
    seen: Option<String>,
    complaint: Option<String>,
}

impl ContentWatch {
    /// Watches `path`, looking every `period`. What it holds at this moment counts as seen; a missing
    /// file counts as unseen, so that its appearance is a change.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, period: Duration) -> Self {
        let mut watch = Self {
            path: path.into(),
            period,
            seen: None,
            complaint: None,
        };
        watch.seen = watch.read();
        watch
    }

    /// Counts `text` as seen instead of what the file held at construction: for a caller that has read the
    /// file before, so that a change between the two reads is not lost.
    #[must_use]
    pub fn seen(mut self, text: impl Into<String>) -> Self {
        self.seen = Some(text.into());
        self
    }

    /// Waits until the content differs from what was seen last and returns it. A file that is missing or
    /// unreadable is not a change; the reason is logged once.
    ///
    /// Cancel-safe: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> String {
        loop {
            tokio::time::sleep(self.period).await;
            if let Some(text) = self.read().filter(|text| self.seen.as_ref() != Some(text)) {
                self.seen = Some(text.clone());
                return text;
            }
        }
    }

    fn read(&mut self) -> Option<String> {
        match read_bounded(&self.path) {
            Ok(text) => {
                self.complaint = None;
                Some(text)
            }
            Err(error) => {
                let complaint = error.to_string();
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::warn!(file = %self.path.display(), error = %complaint, "cannot read the file: keeps what was read before");
                    self.complaint = Some(complaint);
                }
                None
            }
        }
    }
}

fn read_bounded(path: &PathBuf) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 1 MiB",
        ));
    }
    Ok(text)
}

const MAX_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const PERIOD: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_configmap_style_symlink_swap_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("proxy.yaml"), text).unwrap();
        }
        symlink("..1", dir.path().join("..data")).unwrap();
        symlink("..data/proxy.yaml", dir.path().join("proxy.yaml")).unwrap();

        let mut watch = ContentWatch::new(dir.path().join("proxy.yaml"), PERIOD);
        assert_quiet(&mut watch).await;

        symlink("..2", dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        assert_eq!(watch.changed().await, "two");
        assert_quiet(&mut watch).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_file_is_no_change_and_its_return_with_the_same_content_neither() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        fs::write(&path, "a").unwrap();
        let mut watch = ContentWatch::new(&path, PERIOD);
        fs::remove_file(&path).unwrap();
        assert_quiet(&mut watch).await;
        fs::write(&path, "a").unwrap();
        assert_quiet(&mut watch).await;
        fs::write(&path, "b").unwrap();
        assert_eq!(watch.changed().await, "b");
    }

    #[tokio::test(start_paused = true)]
    async fn appearance_and_changes_before_the_first_look_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        let mut watch = ContentWatch::new(&path, PERIOD);
        fs::write(&path, "a").unwrap();
        assert_eq!(watch.changed().await, "a");

        let mut late = ContentWatch::new(&path, PERIOD).seen("older");
        assert_eq!(late.changed().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn an_oversized_or_binary_file_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy.yaml");
        fs::write(&path, "a").unwrap();
        let mut watch = ContentWatch::new(&path, PERIOD);
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert_quiet(&mut watch).await;
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_quiet(&mut watch).await;
    }

    async fn assert_quiet(watch: &mut ContentWatch) {
        let looked = tokio::time::timeout(PERIOD * 5, watch.changed()).await;
        assert!(looked.is_err(), "unexpected change: {looked:?}");
    }
}
