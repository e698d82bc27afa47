//! The connection to the API server.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use daemon::outbound;
use kube::{
    Client, Config,
    client::{Body, ClientBuilder, ConfigExt as _},
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{BoxError, ServiceExt as _};

/// A watch that brings neither event nor bookmark for so long is dead.
pub const SILENCE: Duration = Duration::from_secs(75);

/// A client for the cluster that `kubeconfig` names; without one, for the cluster this process runs in.
///
/// # Errors
/// The file cannot be read or makes no sense, or this is no pod.
pub async fn connect(kubeconfig: Option<&Path>) -> anyhow::Result<Client> {
    daemon::tls::install_default_provider();
    let config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig `{}`", path.display()))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use the kubeconfig `{}`", path.display()))?
        }
        None => Config::incluster().context("no --kubeconfig, and not in a pod")?,
    };
    client(config).context("cannot make a client for the API server")
}

/// As kube makes one, but its connections notice when the other end is gone.
fn client(config: Config) -> kube::Result<Client> {
    let connector = config.rustls_https_connector_with_connector(outbound::connector())?;
    let http = outbound::client::<_, Body>(connector);
    let http = http.map_err(BoxError::from);
    let builder = ClientBuilder::new(http, config.default_namespace.clone())
        .with_layer(&config.extra_headers_layer()?);
    let uri = config.base_uri_layer();
    Ok(match config.auth_layer()? {
        Some(auth) => builder.with_layer(&auth).with_layer(&uri).build(),
        None => builder.with_layer(&uri).build(),
    })
}
