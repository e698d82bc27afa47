//! What goes onto the machines: bundle or packages, node binary, CNI manifest.

use std::path::{Path, PathBuf};

use crate::bundle::Bundle;
use crate::cli;
use crate::error::{Exit, Failure};
use crate::lbnode::{Lbnode, LbnodeFailure};
use crate::manifest::kubeadm::Software;
use crate::packages::Packages;
use crate::workspace::expand_home;

/// Everything that the operator brings.
#[derive(Debug, Clone)]
pub struct Artefacts {
    /// Software for the machines.
    pub bundle: Option<Bundle>,
    /// Packages of their distribution to install where they are missing.
    pub packages: Option<Packages>,
    /// The node binary.
    pub lbnode: Lbnode,
    /// A CNI of the operator's choice: file name and text.
    pub cni: Option<(String, String)>,
}

impl Artefacts {
    /// Reads what the arguments name.
    ///
    /// # Errors
    /// When something is missing or malformed.
    pub fn load(args: &cli::Software) -> Result<Self, Failure> {
        let bundle = args.bundle.as_deref().map(|path| {
            let path = expand_home(&path.display().to_string());
            Bundle::load(&path).map_err(|failure| {
                Failure::failed(failure.to_string())
                    .hint("`--bundle` takes a directory with a `bundle.yaml` in it")
            })
        });
        let packages = args.kubernetes_version.as_deref().map(|version| {
            let key = args.package_key.as_ref();
            let key = key.map(|path| expand_home(&path.display().to_string()));
            Packages::load(version, args.package_repo.as_deref(), key.as_deref()).map_err(
                |failure| {
                    Failure::new(Exit::Usage, failure.to_string()).hint(
                        "`--kubernetes-version v1.36.3`, `--package-repo https://HOST/PATH/`, `--package-key FILE`",
                    )
                },
            )
        });
        let packages = packages.transpose()?;
        let lbnode = Lbnode::load(&lbnode_path(args.lbnode.as_deref())).map_err(unusable)?;
        let cni = args.cni.as_ref().map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::failed(format!("cannot read `{name}`: {error}")))?;
            Ok::<_, Failure>((name, text))
        });
        Ok(Self {
            bundle: bundle.transpose()?,
            packages,
            lbnode,
            cni: cni.transpose()?,
        })
    }

    /// Reads what goes onto the machines of a cluster that has everything but our load balancers.
    ///
    /// # Errors
    /// When the node binary is missing or cannot be used.
    pub fn balancers_alone(lbnode: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self {
            bundle: None,
            packages: None,
            lbnode: Lbnode::load(&lbnode_path(lbnode)).map_err(unusable)?,
            cni: None,
        })
    }

    /// What kubeadm is told; `installed` is the version that the machines have.
    pub fn kubernetes(&self, installed: &str) -> Software {
        if let Some(bundle) = &self.bundle {
            return Software {
                version: bundle.kubernetes_version.clone(),
                image_repository: Some(bundle.image_repository.clone()),
            };
        }
        let packages = self.packages.as_ref();
        Software {
            version: packages.map_or_else(
                || installed.to_owned(),
                |packages| packages.version.to_string(),
            ),
            image_repository: None,
        }
    }
}

/// The node binary that the nodes are compared with; `None`: none was named, and there is none beside this program.
pub(super) fn reference(named: Option<&Path>) -> Result<Option<Lbnode>, Failure> {
    match Lbnode::load(&lbnode_path(named)) {
        Ok(lbnode) => Ok(Some(lbnode)),
        Err(_) if named.is_none() => Ok(None),
        Err(failure) => Err(unusable(failure)),
    }
}

fn unusable(failure: LbnodeFailure) -> Failure {
    Failure::failed(failure.to_string())
        .hint("pass the node binary for the machines' architecture with `--lbnode FILE`")
}

/// `--lbnode`, or the file of that name beside this program.
fn lbnode_path(named: Option<&Path>) -> PathBuf {
    named.map_or_else(
        || {
            let beside = std::env::current_exe()
                .ok()
                .and_then(|me| Some(me.parent()?.join("lbnode")));
            beside.unwrap_or_else(|| PathBuf::from("lbnode"))
        },
        Path::to_owned,
    )
}
