//! How the control thread starts and how it stops.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::driver::{AdminPort, Control, Latches, clock, wall_clock};
use super::hand_over::Predecessor;
use super::listeners::Listeners;
use super::servers::Servers;
use crate::config::Plan;
use crate::core::fleet::Fleet;
use crate::core::limits::Sources;
use crate::core::termination::Termination;
use crate::engine::Engine;
use crate::engine::table::{Ended, Shared, Table, Totals};
use crate::status::{Board, ConfigRow, Rows};

impl Control {
    /// Starts the data path for `plan`, which was read from `file`, in a process that may open so many `descriptors`. With a predecessor it listens when some server is up,
    /// otherwise at once.
    ///
    /// # Errors
    /// Out of descriptors or threads.
    pub(crate) fn start(
        plan: Plan,
        file: &str,
        descriptors: u64,
        latches: Latches,
        admin: AdminPort,
        predecessor: Option<Predecessor>,
    ) -> io::Result<Self> {
        let now = clock();
        let suspicion = Arc::new(Notify::new());
        let empty = Table {
            servers: Vec::new(),
            frontends: Vec::new(),
            settings: plan.settings.clone(),
        };
        let shared = shared(&suspicion);
        let engine = Engine::start(plan.threads, now, shared, &Arc::new(empty))?;
        let config = ConfigRow {
            file: file.to_owned(),
            loaded: wall_clock(),
            reloads: 0,
            refusals: 0,
            error: None,
        };
        let board = Board::new(Rows {
            frontends: Vec::new(),
            servers: Vec::new(),
            shared: Arc::clone(engine.shared()),
            max_sessions: plan.settings.max_sessions,
            config: config.clone(),
            stopping: false,
        });
        let seed = u64::from(std::process::id());
        let mut control = Self {
            fleet: Fleet::new(plan.conduct.clone(), seed),
            plan,
            descriptors,
            engine,
            servers: Servers::default(),
            listeners: Listeners::default(),
            ca: None,
            config,
            board,
            latches,
            suspicion,
            results: mpsc::channel(256),
            admin,
            orders: mpsc::channel(16),
            predecessor: predecessor.map(|predecessor| (predecessor, now)),
            socket: None,
            relieved: false,
        };
        control.apply(control.plan.clone(), now);
        if control.predecessor.is_none() {
            control.open_doors();
        }
        Ok(control)
    }

    /// Lets the virtual address leave, stops listening, lets sessions finish, cuts the rest.
    pub(super) async fn stop(mut self) {
        let deadline = clock() + self.plan.drain;
        self.latches.alive.not_ready("stopping");
        self.latches.servers.not_ready("stopping");
        self.board.rows().stopping = true;
        tracing::info!(sessions = self.engine.sessions(), "stopping");
        if !self.relieved {
            let leave_by = clock() + self.plan.drain / 2;
            let owner = self.listeners.some_address_may_leave();
            while clock() < leave_by && self.listeners.some_address_may_leave() {
                self.engine.ask_for_signs_of_life();
                tokio::time::sleep(POLL).await;
            }
            if owner {
                // What began here before the address left ends here: the new owner passes it on.
                tokio::time::sleep(HANDSHAKES.min(leave_by.saturating_duration_since(clock())))
                    .await;
            }
            self.listeners.adopt(&[]);
            self.hand_over_table(None);
        }
        while clock() < deadline && self.engine.sessions() > 0 {
            // The threads end silent sessions when they are asked.
            self.engine.ask_for_signs_of_life();
            tokio::time::sleep(POLL).await;
        }
        let cut = self.engine.sessions();
        self.engine.close_sessions(None, Termination::Stopping);
        self.engine.stop();
        tracing::info!(cut, "stopped");
    }
}

fn shared(suspicion: &Arc<Notify>) -> Shared {
    let suspicion = Arc::clone(suspicion);
    let (sender, mut receiver) = mpsc::channel::<Ended>(LOG_QUEUE);
    tokio::spawn(async move {
        while let Some(ended) = receiver.recv().await {
            log(&ended);
        }
    });
    Shared {
        totals: Totals::default(),
        sources: Mutex::new(Sources::default()),
        on_suspect: Box::new(move || suspicion.notify_one()),
        on_end: Box::new(move |ended| sender.try_send(ended).is_ok()),
    }
}

fn log(ended: &Ended) {
    tracing::info!(
        target: "session",
        frontend = ended.frontend.name,
        server = ended.server.as_ref().map_or("-", |server| server.facts.name.as_str()),
        source = %ended.source,
        reason = ended.why.name(),
        code = ended.why.letters(),
        milliseconds = u64::try_from(ended.lasted.as_millis()).unwrap_or(u64::MAX),
        bytes_in = ended.up,
        bytes_out = ended.down,
        "session ended"
    );
}

const POLL: Duration = Duration::from_millis(20);
/// The longest way there and back of a client whose first segment came before the address left.
const HANDSHAKES: Duration = Duration::from_secs(1);
/// Lines that wait to be written; more are lost and counted.
const LOG_QUEUE: usize = 4096;
