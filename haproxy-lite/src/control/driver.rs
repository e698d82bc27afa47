//! The control loop: feeds the [`Fleet`] with results and time, applies what it decides to the engine.
//!
//! Every branch of the select is cancel-safe: results, suspicions, texts and orders stay queued, timers are computed
//! anew.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use daemon::ready::Latch;
use daemon::reload::ContentWatch;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::check::{Ca, Examination};
use super::hand_over::Predecessor;
use super::listeners::Listeners;
use super::operator::{Guard, Order, listen};
use super::servers::Servers;
use crate::config::{Plan, Probe};
use crate::core::descriptors::sessions_within;
use crate::core::fleet::{Action, Fleet, Terms};
use crate::core::health::{CheckId, Failure};
use crate::core::termination::Termination;
use crate::engine::Engine;
use crate::engine::table::Table;
use crate::status::{Board, ConfigRow, ServerRow};

/// What the outside is told through.
pub(crate) struct Latches {
    /// Some server is up.
    pub(crate) servers: Latch,
    /// Every front end is listened on.
    pub(crate) frontends: Latch,
    /// The proxy does its work and is not about to stop.
    pub(crate) alive: Latch,
}

/// The admin server's side of starting and stopping.
pub(crate) struct AdminPort {
    /// Its listening socket, for a successor.
    pub(crate) listener: Option<std::net::TcpListener>,
    /// It starts to serve.
    pub(crate) serve: CancellationToken,
    /// It ends.
    pub(crate) end: CancellationToken,
}

/// The control thread's state.
pub(crate) struct Control {
    pub(super) plan: Plan,
    /// How many the process may have open.
    pub(super) descriptors: u64,
    pub(super) engine: Engine,
    pub(super) servers: Servers,
    pub(super) listeners: Listeners,
    pub(super) fleet: Fleet,
    pub(super) ca: Option<Ca>,
    pub(super) config: ConfigRow,
    pub(super) board: Board,
    pub(super) latches: Latches,
    pub(super) suspicion: Arc<Notify>,
    pub(super) results: (mpsc::Sender<Examined>, mpsc::Receiver<Examined>),
    pub(super) admin: AdminPort,
    pub(super) orders: (mpsc::Sender<Order>, mpsc::Receiver<Order>),
    /// Who serves until this proxy can, and since when it is waited for.
    pub(super) predecessor: Option<(Predecessor, Instant)>,
    pub(super) socket: Option<Guard>,
    /// A successor accepts; this proxy ends after its last session.
    pub(super) relieved: bool,
}

pub(super) struct Examined {
    server: u64,
    check: CheckId,
    result: Result<(), Failure>,
}

impl Control {
    pub(crate) fn board(&self) -> Board {
        self.board.clone()
    }

    /// Until `token` is cancelled or a successor has taken over; then stops gracefully.
    pub(crate) async fn run(mut self, watch: ContentWatch, token: CancellationToken) {
        let mut texts = watch_in_background(watch, token.clone());
        let mut housekeeping = tokio::time::interval(HOUSEKEEPING);
        let suspicion = Arc::clone(&self.suspicion);
        while !(self.relieved && self.engine.sessions() == 0) {
            let now = clock();
            self.take_over_when_ready(now);
            self.start_checks(now);
            self.close_left(now);
            let grown = self.fleet.handle_timeout(now);
            self.act_on(grown);
            self.publish(now);
            let dues = [self.fleet.poll_timeout(now), self.servers.next_deadline()];
            let next = dues
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(now + HOUSEKEEPING);
            tokio::select! {
                Some(examined) = self.results.1.recv() => self.handle_result(examined),
                () = suspicion.notified() => self.handle_suspicion(),
                Some(text) = texts.recv() => self.reload(&text),
                Some(order) = self.orders.1.recv() => self.handle_order(order),
                _ = housekeeping.tick() => self.keep_house(),
                () = tokio::time::sleep_until(next.into()) => {}
                () = token.cancelled() => break,
            }
        }
        self.stop().await;
    }

    /// Listens as soon as some server is up, and at once when nobody else does.
    fn take_over_when_ready(&mut self, now: Instant) {
        let waits = |(_, since): &(Predecessor, Instant)| {
            self.fleet.in_service() == 0 && now < *since + LONGEST_WAIT
        };
        if self.predecessor.as_ref().is_some_and(waits) {
            return;
        }
        let Some((mut predecessor, _)) = self.predecessor.take() else {
            return;
        };
        self.hand_over_table(Some(&mut predecessor));
        predecessor.relieve();
        self.open_doors();
        tracing::info!("took over from the predecessor");
    }

    /// The admin server and the admin socket answer from here on.
    pub(super) fn open_doors(&mut self) {
        self.admin.serve.cancel();
        if let Some(path) = &self.plan.admin_socket {
            match listen(path, self.board.clone(), self.orders.0.clone()) {
                Ok(guard) => self.socket = Some(guard),
                Err(error) => {
                    let path = path.display().to_string();
                    tracing::error!(path, %error, "cannot listen on the admin socket");
                }
            }
        }
    }

    fn start_checks(&mut self, now: Instant) {
        for (identity, check) in self.fleet.poll_checks(now) {
            let Some(server) = self.servers.find(identity) else {
                continue;
            };
            let address = server.facts.address;
            let examination = Examination::new(address, &self.plan.check, self.ca.as_ref());
            let results = self.results.0.clone();
            tokio::spawn(async move {
                let result = examination.run().await;
                // The receiver lives as long as the control loop; after it nobody wants to know.
                let _ = results
                    .send(Examined {
                        server: identity,
                        check,
                        result,
                    })
                    .await;
            });
        }
    }

    fn handle_result(&mut self, examined: Examined) {
        let Examined {
            server,
            check,
            result,
        } = examined;
        let actions = self.fleet.handle_result(clock(), server, check, result);
        self.act_on(actions);
    }

    pub(super) fn act_on(&self, actions: Vec<Action>) {
        for action in actions {
            self.act(&action);
        }
    }

    fn act(&self, action: &Action) {
        let Some(live) = self.servers.find(action.server()) else {
            return;
        };
        match action {
            Action::Use { usable, .. } => {
                live.set_usable(*usable);
                if *usable {
                    self.engine.serve_waiting();
                }
            }
            Action::Weigh { thousandths, .. } => live.set_weight(*thousandths),
            Action::Clear { began, .. } => live.cleared(self.engine.millis(*began)),
            Action::CloseSessions { why, .. } => self.engine.close_sessions(Some(live), *why),
            Action::Tell { server, state } => {
                let name = &live.facts.name;
                let why = self
                    .fleet
                    .member(*server)
                    .map_or("", |member| member.health.why());
                let (address, state) = (live.facts.address, state.name());
                let sessions = live.sessions();
                tracing::info!(server = name, %address, state, why, sessions, "server changed state");
            }
        }
    }

    fn handle_suspicion(&mut self) {
        let suspects = self
            .servers
            .current()
            .iter()
            .filter(|server| server.is_suspect());
        let suspects: Vec<u64> = suspects.map(|server| server.identity).collect();
        self.fleet.handle_suspicion(&suspects);
    }

    fn reload(&mut self, text: &str) {
        match Plan::from_text(text, &self.config.file) {
            Ok(plan) => {
                if !plan.starts_like(&self.plan) {
                    tracing::warn!(
                        "`threads`, `admin` and `adminSocket` take effect at the next start"
                    );
                }
                self.apply(plan, clock());
                self.config.reloads += 1;
                self.config.loaded = wall_clock();
                self.config.error = None;
                tracing::info!(file = self.config.file, "configuration taken over");
            }
            Err(error) => {
                tracing::error!(file = self.config.file, %error, "configuration refused: the old one stays in force");
                self.config.refusals += 1;
                self.config.error = Some(error.to_string());
            }
        }
    }

    pub(super) fn apply(&mut self, mut plan: Plan, now: Instant) {
        let wanted = plan.settings.max_sessions;
        let sessions = sessions_within(self.descriptors, wanted);
        if sessions < wanted {
            let descriptors = self.descriptors;
            tracing::warn!(
                descriptors,
                wanted,
                sessions,
                "the limit of open files allows fewer sessions"
            );
            plan.settings.max_sessions = sessions;
        }
        self.ca = match &plan.check.probe {
            Probe::Https { ca_file, .. } => {
                let kept = self.ca.take().filter(|ca| ca.path() == ca_file.as_path());
                Some(kept.unwrap_or_else(|| Ca::new(ca_file)))
            }
            Probe::Tcp | Probe::Http { .. } => None,
        };
        self.servers.adopt(&plan.servers, now, plan.drain);
        let pairs = self.servers.current().iter().zip(&plan.servers);
        let terms = pairs.map(|(server, plan)| Terms {
            server: server.identity,
            weight: plan.terms.weight,
            backup: plan.terms.backup,
        });
        let terms: Vec<Terms> = terms.collect();
        let actions = self.fleet.adopt(&terms, &plan.conduct, now);
        self.act_on(actions);
        self.listeners.adopt(&plan.frontends);
        self.plan = plan;
        if self.predecessor.is_none() {
            self.hand_over_table(None);
        }
    }

    /// Gives the threads the table as it is, and sockets they do not have yet.
    pub(super) fn hand_over_table(&mut self, predecessor: Option<&mut Predecessor>) {
        let sockets = self
            .listeners
            .bind_missing(self.engine.threads(), predecessor);
        let table = Table {
            servers: self.servers.current().to_vec(),
            frontends: self.listeners.frontends(),
            settings: self.plan.settings.clone(),
        };
        self.engine.adopt(&Arc::new(table), sockets);
    }

    fn close_left(&mut self, now: Instant) {
        for server in self.servers.take_overdue(now) {
            self.engine
                .close_sessions(Some(&server), Termination::ServerRemoved);
        }
    }

    fn keep_house(&mut self) {
        if let Some(ca) = &mut self.ca {
            ca.refresh();
        }
        if !self.listeners.complete() && self.predecessor.is_none() && !self.relieved {
            self.hand_over_table(None);
        }
        if self.engine.is_responsive() {
            self.latches.alive.ready();
        } else {
            self.latches
                .alive
                .not_ready("a thread of the data path does not answer");
        }
        self.engine.ask_for_signs_of_life();
    }

    pub(super) fn publish(&self, now: Instant) {
        let wall = wall_clock();
        let servers = self.fleet.members().iter().filter_map(|member| {
            Some(ServerRow {
                server: Arc::clone(self.servers.find(member.server)?),
                state: member.health.state(),
                since: wall - now.saturating_duration_since(member.health.since()),
                why: member.health.why().to_owned(),
                wish: member.wish,
                downs: member.downs,
                failures: member
                    .failures
                    .iter()
                    .map(|(kind, n)| (*kind, *n))
                    .collect(),
            })
        });
        let mut rows = self.board.rows();
        rows.servers = servers.collect();
        rows.frontends = self.listeners.rows();
        rows.max_sessions = self.plan.settings.max_sessions;
        rows.config = self.config.clone();
        drop(rows);
        match self.fleet.in_service() {
            0 => self.latches.servers.not_ready("no server is up"),
            _ => self.latches.servers.ready(),
        }
        if self.listeners.complete() {
            self.latches.frontends.ready();
        } else {
            self.latches
                .frontends
                .not_ready("not every front end is listened on");
        }
    }
}

/// A watch sleeps between looks; in the control loop, which turns more often than that, it would never wake up.
fn watch_in_background(
    mut watch: ContentWatch,
    token: CancellationToken,
) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(token.run_until_cancelled_owned(async move {
        while sender.send(watch.changed().await).await.is_ok() {}
    }));
    receiver
}

#[expect(clippy::disallowed_methods, reason = "driver: reads the clock")]
pub(super) fn clock() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "driver: reads the clock, for people"
)]
pub(super) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// A successor without a healthy server takes over all the same after so long.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
