//! Asks the questions whose answers `health.rs` judges.
#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use daemon::probe::{self, ProbeFailure, ProbeUrl};
use daemon::tls::ClientTls;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::RouterPlan;
use crate::health::{Failure, HealthPlan, HealthPolicy};
use crate::proto::Health;
use crate::standing::{self, Round};

/// What status and metrics show of the checks.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthView {
    pub(crate) live: Option<bool>,
    pub(crate) ready: Option<bool>,
    pub(crate) detail: String,
    pub(crate) verdict: Option<&'static str>,
    pub(crate) since: Option<std::time::SystemTime>,
}

/// The latest view, shared with status.
pub(crate) type SharedView = Arc<Mutex<HealthView>>;

enum Finding {
    Live(Result<(), Failure>),
    Ready(Result<(), Failure>),
    Peers(bool),
    Round(Round),
}

/// A probe of the second level goes through the proxy to an API server under load.
const READY_TIMEOUT: Duration = Duration::from_secs(2);
const LIVE_TIMEOUT: Duration = Duration::from_millis(500);
const PEER_TIMEOUT: Duration = Duration::from_secs(1);

/// Probes until cancelled and calls `report` with every change of the verdict.
///
/// Cancel-safe: it keeps nothing that a restart would miss except the history of the checks.
pub(crate) async fn run(
    mut plans: watch::Receiver<Option<HealthPlan>>,
    view: SharedView,
    report: impl Fn(Health),
    stop: CancellationToken,
) {
    let (results, mut inbox) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    tasks.spawn(level(plans.clone(), results.clone(), Level::Live));
    tasks.spawn(level(plans.clone(), results.clone(), Level::Ready));
    let begun = plans.borrow().clone();
    let mut policy = match begun {
        Some(_) => HealthPolicy::new(1, 1),
        None => HealthPolicy::well(),
    };
    let routers = begun.map_or_else(Vec::new, |plan| plan.stand_back);
    if !routers.is_empty() {
        policy.stand_back();
        stand_back(routers, results.clone());
    }
    let mut last = None;
    let mut tell = |policy: &HealthPolicy| {
        let verdict = policy.verdict();
        let changed = last.as_ref() != Some(&verdict);
        note(&view, policy, &verdict, changed);
        if changed {
            report(verdict.clone());
        }
        last = Some(verdict);
    };
    loop {
        let result = tokio::select! {
            () = stop.cancelled() => return,
            Some(result) = inbox.recv() => Some(result),
            changed = plans.changed() => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
        };
        let plan = plans.borrow().clone();
        let Some(plan) = plan else {
            // Nothing is tracked any more, and what was found before is history.
            policy = HealthPolicy::well();
            tell(&policy);
            continue;
        };
        let Some(result) = result else { continue };
        policy.reconfigure(plan.fall, plan.rise);
        if plan.stand_back.is_empty() {
            policy.stand_forth();
        }
        match result {
            Finding::Live(result) => policy.handle_live(result),
            Finding::Ready(result) => {
                policy.handle_ready(result);
                if policy.wants_peers() {
                    let results = results.clone();
                    tasks.spawn(async move {
                        let ready = any_ready(&plan.peers).await;
                        let _ = results.send(Finding::Peers(ready)).await;
                    });
                }
            }
            Finding::Peers(ready) => policy.handle_peers(ready),
            Finding::Round(round) => policy.handle_round(round),
        }
        while tasks.try_join_next().is_some() {}
        tell(&policy);
    }
}

/// Asks on a thread of its own who has the addresses. Without it the node would stand back for ever, which harms nobody.
fn stand_back(routers: Vec<RouterPlan>, results: mpsc::Sender<Finding>) {
    let tell = move |round| results.blocking_send(Finding::Round(round)).is_ok();
    let asking = thread::Builder::new().name("standing-back".to_owned());
    if let Err(error) = asking.spawn(move || standing::play(&routers, tell)) {
        tracing::error!(%error, "cannot ask who has the addresses: this node does not take them");
    }
}

#[derive(Debug, Clone, Copy)]
enum Level {
    Live,
    Ready,
}

async fn level(
    mut plans: watch::Receiver<Option<HealthPlan>>,
    results: mpsc::Sender<Finding>,
    level: Level,
) {
    loop {
        let plan = plans.borrow_and_update().clone();
        let Some(plan) = plan else {
            if plans.changed().await.is_err() {
                return;
            }
            continue;
        };
        let period = match level {
            Level::Live => plan.live_interval(),
            Level::Ready => plan.interval,
        };
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = plans.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                _ = ticks.tick() => {}
            }
            let result = match level {
                Level::Live => Finding::Live(ask(&plan.live, &plan, LIVE_TIMEOUT).await),
                Level::Ready => Finding::Ready(ask(&plan.ready, &plan, READY_TIMEOUT).await),
            };
            if results.send(result).await.is_err() {
                return;
            }
        }
    }
}

async fn ask(url: &ProbeUrl, plan: &HealthPlan, timeout: Duration) -> Result<(), Failure> {
    // Read at every probe: the file appears during bootstrap and is replaced on rotation.
    let tls = if url.is_https() {
        let tls = ClientTls::from_ca_file(&plan.ca_file);
        Some(tls.map_err(|error| Failure {
            detail: chain(&error),
            certain: false,
            draining: false,
        })?)
    } else {
        None
    };
    let tls = tls.as_ref().map(|tls| (tls, plan.server_name.clone()));
    match probe::get(url.target(), tls, url.path(), timeout).await {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure {
            certain: matches!(error, ProbeFailure::Refused),
            draining: matches!(error, ProbeFailure::Status(503, _)),
            detail: format!("{}: {}", url.target(), chain(&error)),
        }),
    }
}

/// Whether some peer's proxy says that it is ready.
async fn any_ready(peers: &[ProbeUrl]) -> bool {
    let mut asked = JoinSet::new();
    for peer in peers.iter().filter(|peer| !peer.is_https()) {
        let (target, path) = (peer.target(), peer.path().to_owned());
        asked.spawn(async move { probe::get(target, None, &path, PEER_TIMEOUT).await });
    }
    while let Some(answer) = asked.join_next().await {
        if matches!(answer, Ok(Ok(_))) {
            return true;
        }
    }
    false
}

fn note(view: &SharedView, policy: &HealthPolicy, verdict: &Health, changed: bool) {
    let (live, ready, detail) = policy.levels();
    let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
    (view.live, view.ready) = (live, ready);
    if view.detail != detail {
        detail.clone_into(&mut view.detail);
    }
    let standing = policy.stands_back();
    if let Some(why) = standing {
        why.clone_into(&mut view.detail);
    }
    view.verdict = Some(match verdict {
        Health::Unknown if standing.is_some() => "standing-back",
        Health::Unknown => "unknown",
        Health::Good => "good",
        Health::Draining { .. } => "draining",
        Health::Bad { .. } => "bad",
    });
    if changed {
        view.since = Some(std::time::SystemTime::now());
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use daemon::tls::ServerName;

    use super::*;

    /// A proxy and an API server that are well, until `stop` is cancelled.
    fn serve(stop: CancellationToken) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/livez", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            while !stop.is_cancelled() {
                thread::sleep(Duration::from_millis(2));
                let Ok((mut client, _)) = listener.accept() else {
                    continue;
                };
                client.set_nonblocking(false).unwrap();
                let _ = client.read(&mut [0; 1024]);
                let _ = client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        });
        url
    }

    /// A node that failed its last check would otherwise have no address for ever.
    #[tokio::test]
    async fn who_is_not_tracked_any_more_is_well() {
        let well = CancellationToken::new();
        let url = serve(well.clone());
        let plan = HealthPlan {
            live: url.parse().unwrap(),
            ready: url.parse().unwrap(),
            ca_file: "none".into(),
            server_name: ServerName::try_from("localhost").unwrap(),
            peers: Vec::new(),
            interval: Duration::from_millis(50),
            fall: 1,
            rise: 1,
            stand_back: Vec::new(),
        };
        let (plans, watched) = watch::channel(Some(plan.clone()));
        let (told, mut heard) = mpsc::channel(16);
        let report = move |health| told.try_send(health).unwrap();
        let view = SharedView::default();
        let probing = run(watched, view, report, CancellationToken::new());
        let story = async {
            assert_eq!(heard.recv().await, Some(Health::Unknown));
            assert_eq!(heard.recv().await, Some(Health::Good));
            well.cancel();
            assert!(matches!(heard.recv().await, Some(Health::Bad { .. })));
            plans.send_replace(None);
            assert_eq!(heard.recv().await, Some(Health::Good));
            // Tracked anew it has until the first answer what it has.
            plans.send_replace(Some(plan));
            assert!(matches!(heard.recv().await, Some(Health::Bad { .. })));
        };
        tokio::select! {
            () = probing => panic!("it goes on until it is stopped"),
            done = tokio::time::timeout(Duration::from_secs(10), story) => done.unwrap(),
        }
    }
}
