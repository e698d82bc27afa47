//! `cargo xtask bundle`: a directory with Kubernetes' software that `lbctl --bundle` installs without any other network.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use lab_tests::bundle::{self, Downloaded};

use crate::{cargo, say};

/// Arguments of `cargo xtask bundle`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory to make; default: target/dist/bundle
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Directory with downloaded kubeadm, kubelet and kubectl; without it Kubernetes is compiled as for the lab
    #[arg(
        long,
        value_name = "DIR",
        requires = "kubernetes_version",
        requires = "images"
    )]
    programs: Option<PathBuf>,
    /// Their version, such as v1.36.3
    #[arg(long, value_name = "VERSION", requires = "programs")]
    kubernetes_version: Option<String>,
    /// Archives with the images that `kubeadm config images list` names, not compressed
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "programs")]
    images: Vec<PathBuf>,
    /// Directory with CNI plugins to bring along
    #[arg(long, value_name = "DIR", requires = "programs")]
    cni_plugins: Option<PathBuf>,
    /// Registry in the images' names
    #[arg(long, value_name = "REGISTRY", default_value = "registry.k8s.io")]
    image_repository: String,
}

/// Makes the directory and says where it is.
///
/// # Errors
///
/// When it exists already, something is missing, or Kubernetes cannot be compiled.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let out = args.output.clone();
    let out = out.unwrap_or_else(|| cargo::root().join("target/dist/bundle"));
    match (&args.programs, &args.kubernetes_version) {
        (Some(programs), Some(version)) => {
            if !version.starts_with('v') {
                bail!("`--kubernetes-version` must look like v1.36.3, not {version}");
            }
            let parts = Downloaded {
                version: version.clone(),
                programs: programs.clone(),
                plugins: args.cni_plugins.clone(),
                images: args.images.clone(),
                repository: args.image_repository.clone(),
            };
            bundle::from_downloads(&parts, &out)?;
        }
        _ => bundle::copy_to(&out)?,
    }
    say::result(out.display());
    Ok(ExitCode::SUCCESS)
}
