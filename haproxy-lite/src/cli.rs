//! `lbnode proxy`.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use daemon::admin::Admin;
use daemon::logging::{self, LogArgs};
use daemon::ready::Readiness;
use daemon::reload::ContentWatch;
use daemon::shutdown::Shutdown;
use tokio_util::sync::CancellationToken;

use crate::config::Plan;
use crate::control::{AdminPort, Control, Latches, Predecessor};
use crate::metrics::ProxyMetrics;
use crate::{engine, page};

/// Run the TCP proxy in front of the API servers.
///
/// Exit codes: 0 stopped gracefully or the file is valid, 1 failed, 2 wrong usage, 3 configuration invalid.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file; a change of its content is taken over while running
    #[arg(long, value_name = "FILE", default_value = "/etc/lbnode/proxy.yaml")]
    pub config: PathBuf,
    /// Only say whether the configuration is valid
    #[arg(long)]
    pub check: bool,
    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Runs until SIGTERM or SIGINT.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let (plan, text) = match Plan::load(&args.config) {
        Ok(loaded) => loaded,
        Err(error) => {
            // The last words of a process that cannot start: nobody is left to tell if they cannot be written.
            let _ = writeln!(std::io::stderr(), "error: {:#}", anyhow::Error::new(error));
            return ExitCode::from(CONFIGURATION_INVALID);
        }
    };
    if args.check {
        return ExitCode::SUCCESS;
    }
    logging::init(&args.log);
    match serve(args, plan, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args, plan: Plan, text: String) -> anyhow::Result<()> {
    let descriptors = engine::raise_descriptor_limit();
    if let Err(error) = engine::claim_low_ports() {
        // Binding tells whether it was needed.
        tracing::warn!(%error, "cannot claim the right to ports below 1024");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control thread's runtime")?;
    runtime.block_on(async {
        let token = Shutdown::install()
            .context("cannot install the signal handlers")?
            .token();
        let (readiness, liveness) = (Readiness::new(), Readiness::new());
        let latches = Latches {
            servers: readiness.latch("servers"),
            frontends: readiness.latch("frontends"),
            alive: liveness.latch("engine"),
        };
        let mut predecessor = match &plan.admin_socket {
            Some(path) => {
                Predecessor::ask(path).context("cannot take over from the running proxy")?
            }
            None => None,
        };
        let address = plan.admin;
        let inherited = predecessor.as_mut().and_then(|p| p.take_admin(address));
        // Taken or not on this machine yet: the admin server itself tries again.
        let listener = inherited
            .map(TcpListener::from)
            .or_else(|| TcpListener::bind(address).ok());
        let (serve, end) = (CancellationToken::new(), CancellationToken::new());
        let port = AdminPort {
            listener: listener
                .as_ref()
                .and_then(|listener| listener.try_clone().ok()),
            serve: serve.clone(),
            end: end.clone(),
        };
        let watch = ContentWatch::new(&args.config, WATCH_PERIOD).seen(text);
        let file = args.config.display().to_string();
        let control = Control::start(plan, &file, descriptors, latches, port, predecessor)
            .context("cannot start the data path")?;
        let registry = daemon::metrics::new_registry("proxy");
        registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register_collector(Box::new(ProxyMetrics(control.board())));
        let (board, page_board) = (control.board(), control.board());
        let admin = Admin {
            addr: address,
            readiness,
            registry,
            status: Arc::new(move || board.to_json()),
        };
        let admin = admin
            .liveness(liveness)
            .route("/", move || page::page(&page_board));
        // The admin server outlives the signal: others ask it whether this proxy stops.
        let stopped = end.clone();
        let admin = tokio::spawn(async move {
            serve.cancelled().await;
            match listener {
                Some(listener) => {
                    listener.set_nonblocking(true)?;
                    admin
                        .serve_on(tokio::net::TcpListener::from_std(listener)?, end)
                        .await
                }
                None => admin.serve(end).await,
            }
        });
        control.run(watch, token).await;
        stopped.cancel();
        admin.await.context("the admin server panicked")?
    })
}

const CONFIGURATION_INVALID: u8 = 3;
const WATCH_PERIOD: Duration = Duration::from_millis(500);
