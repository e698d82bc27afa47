//! containerd's configuration, in the form of the version that is to read it.
//!
//! | containerd | form | the plugin `cri` | CNI plugins |
//! |---|---|---|---|
//! | 1.6, 1.7 | `version = 2` | one: `io.containerd.grpc.v1.cri` | `bin_dir` |
//! | 2.0 | `version = 3` | two: `io.containerd.cri.v1.images`, `io.containerd.cri.v1.runtime` | `bin_dir` |
//! | 2.1 and later | `version = 3` | the same two | `bin_dirs`; `bin_dir` is gone in 2.3 |
//!
//! Later versions convert earlier forms when they start; what they convert to is written here, so that nothing depends on it.

use super::NodeFile;
use crate::core::version::Version;

/// Its path.
pub const PATH: &str = "/etc/containerd/config.toml";

/// What differs between machines.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The containerd that reads it; absent: not known, and the form that all understand.
    pub version: Option<Version>,
    /// Image of the pods' sandbox; absent: containerd's own choice.
    pub pause_image: Option<&'a str>,
    /// Directory of the CNI plugins.
    pub cni_directory: &'a str,
    /// The machine may not lower `oom_score_adj`.
    pub restrict_oom_score: bool,
}

/// From here on there are two plugins for what was one.
const TWO_PLUGINS: (u32, u32) = (2, 0);
/// From here on there may be several directories of CNI plugins.
const SEVERAL_DIRECTORIES: (u32, u32) = (2, 1);
/// containerd makes this directory at every start.
const OPT: &str = "# containerd makes this directory at every start; elsewhere it would be /opt/containerd\n\
    [plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"/var/lib/containerd\"\n";

/// The file.
pub fn file(settings: &Settings<'_>) -> NodeFile {
    let series = settings.version.map(Version::series);
    let text = if series.is_some_and(|series| series >= TWO_PLUGINS) {
        form_3(
            settings,
            series.is_some_and(|series| series >= SEVERAL_DIRECTORIES),
        )
    } else {
        form_2(settings)
    };
    NodeFile::public(PATH, text)
}

/// Of containerd 1.
fn form_2(settings: &Settings<'_>) -> String {
    let mut text = String::from(
        "# written by lbctl\nversion = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\"]\n",
    );
    if let Some(image) = settings.pause_image {
        text.push_str(&format!("  sandbox_image = \"{image}\"\n"));
    }
    if settings.restrict_oom_score {
        text.push_str("  restrict_oom_score_adj = true\n");
    }
    text.push_str(&format!(
        "\n  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = \"{}\"\n    conf_dir = \"/etc/cni/net.d\"\n\n",
        settings.cni_directory
    ));
    text.push_str(&runc("io.containerd.grpc.v1.cri"));
    text.push_str(OPT);
    text
}

/// Of containerd 2.
fn form_3(settings: &Settings<'_>, several: bool) -> String {
    let mut text = String::from("# written by lbctl\nversion = 3\n\n");
    if let Some(image) = settings.pause_image {
        text.push_str(&format!(
            "[plugins.\"io.containerd.cri.v1.images\".pinned_images]\n  sandbox = \"{image}\"\n\n"
        ));
    }
    text.push_str("[plugins.\"io.containerd.cri.v1.runtime\"]\n");
    if settings.restrict_oom_score {
        text.push_str("  restrict_oom_score_adj = true\n");
    }
    let directory = settings.cni_directory;
    let directories = if several {
        format!("bin_dirs = [\"{directory}\"]")
    } else {
        format!("bin_dir = \"{directory}\"")
    };
    text.push_str(&format!(
        "\n  [plugins.\"io.containerd.cri.v1.runtime\".cni]\n    {directories}\n    conf_dir = \"/etc/cni/net.d\"\n\n"
    ));
    text.push_str(&runc("io.containerd.cri.v1.runtime"));
    text.push_str(OPT);
    text
}

/// The runtime below a plugin.
fn runc(plugin: &str) -> String {
    format!(
        "  [plugins.\"{plugin}\".containerd.runtimes.runc]\n    runtime_type = \"io.containerd.runc.v2\"\n\n\
         \x20   [plugins.\"{plugin}\".containerd.runtimes.runc.options]\n      SystemdCgroup = true\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(version: &str) -> String {
        let settings = Settings {
            version: Version::parse(version),
            pause_image: Some("lab.invalid/pause:3.10.2"),
            cni_directory: "/usr/lib/cni",
            restrict_oom_score: true,
        };
        file(&settings).content
    }

    const FORM_2: &str = r#"# written by lbctl
version = 2

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "lab.invalid/pause:3.10.2"
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true

# containerd makes this directory at every start; elsewhere it would be /opt/containerd
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd"
"#;

    const FORM_3: &str = r#"# written by lbctl
version = 3

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "lab.invalid/pause:3.10.2"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true

  [plugins."io.containerd.cri.v1.runtime".cni]
    CNI
    conf_dir = "/etc/cni/net.d"

  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      SystemdCgroup = true

# containerd makes this directory at every start; elsewhere it would be /opt/containerd
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd"
"#;

    #[test]
    fn each_version_has_its_form() {
        let one = FORM_3.replace("CNI", r#"bin_dir = "/usr/lib/cni""#);
        let several = FORM_3.replace("CNI", r#"bin_dirs = ["/usr/lib/cni"]"#);
        let cases = [
            ("1.6.20~ds1", FORM_2),
            ("v1.7.27", FORM_2),
            ("not known", FORM_2),
            ("v2.0.5", one.as_str()),
            ("2.1.0", several.as_str()),
            ("v2.2.1", several.as_str()),
        ];
        for (version, expected) in cases {
            assert_eq!(written(version), expected, "{version}");
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_written() {
        for version in ["1.7.0", "2.1.0"] {
            let plain = file(&Settings {
                version: Version::parse(version),
                pause_image: None,
                cni_directory: "/opt/cni/bin",
                restrict_oom_score: false,
            });
            let text = plain.content;
            assert!(!text.contains("sandbox") && !text.contains("oom"), "{text}");
            assert!(text.contains("SystemdCgroup = true"), "{text}");
        }
    }
}
