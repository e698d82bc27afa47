//! containerd's configuration, in the form that containerd 1.6 and later read (2.x converts it).

use super::NodeFile;

/// Its path.
pub const PATH: &str = "/etc/containerd/config.toml";

/// What differs between machines.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Image of the pods' sandbox; absent: containerd's own choice.
    pub pause_image: Option<&'a str>,
    /// Directory of the CNI plugins.
    pub cni_directory: &'a str,
    /// The machine may not lower `oom_score_adj`.
    pub restrict_oom_score: bool,
}

/// The file.
pub fn file(settings: &Settings<'_>) -> NodeFile {
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
        "\n  [plugins.\"io.containerd.grpc.v1.cri\".cni]\n    bin_dir = \"{}\"\n    conf_dir = \"/etc/cni/net.d\"\n\n\
         \x20 [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n    runtime_type = \"io.containerd.runc.v2\"\n\n\
         \x20   [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n      SystemdCgroup = true\n\n\
         # containerd makes this directory at every start; elsewhere it would be /opt/containerd\n\
         [plugins.\"io.containerd.internal.v1.opt\"]\n  path = \"/var/lib/containerd\"\n",
        settings.cni_directory
    ));
    NodeFile::public(PATH, text)
}
