//! The router process: starts the threads, keeps the tokio side going, and waits for the end.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use daemon::admin::{Admin, Page};
use daemon::metrics::new_registry;
use daemon::ready::{Latch, Readiness};
use daemon::recorder::Recorder;
use daemon::reload::ContentWatch;
use daemon::shutdown::Shutdown;
use l2::linux::{process, realtime};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{GroupPlan, Plan};
use crate::driver::{Driver, Event, Records};
use crate::hand_over;
use crate::host::Host;
use crate::mailbox::{Sender, mailbox};
use crate::metrics::Metrics;
use crate::probes::{self, SharedView};
use crate::proto::{Group, State};
use crate::status::Snapshot;
use crate::urgency::Urgency;

/// Realtime priorities: the router thread before the host thread, both before everything ordinary.
const ROUTER_PRIORITY: u8 = 50;
const HOST_PRIORITY: u8 = 49;
/// The admin server waits at most so long for the router thread.
const SNAPSHOT_WAIT: Duration = Duration::from_millis(500);
const INPUT_RECORD_BYTES: usize = 1 << 18;
const PACKET_RECORD_BYTES: usize = 1 << 20;
const RELOAD_PERIOD: Duration = Duration::from_secs(1);

/// What the router process is given.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) file: PathBuf,
    pub(crate) text: String,
    pub(crate) plan: Plan,
    /// The supervisor's process, which holds the other end of standard input.
    pub(crate) parent: Option<u32>,
}

/// Runs the router until it has stopped.
pub(crate) fn run(setup: Setup) -> anyhow::Result<()> {
    let lifeline = setup
        .parent
        .map(lifeline)
        .transpose()
        .context("cannot follow the supervisor")?;
    let urgency = prepare();
    for warning in &setup.plan.warnings {
        tracing::warn!("{warning}");
    }
    let (events, router_mail) = mailbox(4096)?;
    let (host_commands, host_mail) = mailbox(1024)?;
    let records = Records {
        inputs: Recorder::new(INPUT_RECORD_BYTES),
        packets: Recorder::new(PACKET_RECORD_BYTES),
    };
    let readiness = Readiness::new();
    let latch = readiness.latch("router");
    let notice = move |groups: &BTreeMap<usize, Group>| tell_latch(&latch, groups);
    let tracked = setup.plan.health.is_some();
    let driver = Driver::new(
        router_mail,
        host_commands,
        tracked,
        records.clone(),
        lifeline,
        notice,
    )?;
    let mut slots = Slots::default();
    let first = slots.assign(&setup.plan);
    let health = setup.plan.health.as_ref();
    let stands_back = health.is_some_and(|health| !health.stand_back.is_empty());
    let host = Host::open(&first, stands_back, events.clone())
        .context("cannot read the network configuration")?;
    events.send(Event::Plan(first));
    let router_events = events.clone();
    let host = spawn("host", HOST_PRIORITY, move || {
        let ended = host.run(host_mail);
        // Nobody puts addresses on interfaces or renews them any more: the router hands over and ends as well, and the
        // supervisor starts both again.
        router_events.send(Event::Stop);
        ended
    })?;
    let router = spawn("router", ROUTER_PRIORITY, move || driver.run())?;
    let serving = Serving {
        setup,
        events,
        records,
        readiness,
        urgency,
        slots,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serving.until_stopped(router))?;
    host.join()
        .map_err(|_| anyhow::anyhow!("the host thread panicked"))??;
    tracing::info!("stopped");
    Ok(())
}

/// The supervisor's end of standard input, and its death as a signal.
fn lifeline(parent: u32) -> io::Result<UnixStream> {
    process::follow_parent(parent)?;
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn prepare() -> Urgency {
    Urgency::drop_inherited();
    if let Err(error) = realtime::lock_memory() {
        tracing::warn!(%error, "memory is not locked: under memory pressure adverts may be late (CAP_IPC_LOCK would allow it)");
    }
    Urgency::find(HOST_PRIORITY)
}

fn spawn(
    name: &str,
    priority: u8,
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> io::Result<thread::JoinHandle<io::Result<()>>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // `prepare` has said what comes of it.
        Urgency::take(priority);
        work()
    })
}

fn tell_latch(latch: &Latch, groups: &BTreeMap<usize, Group>) {
    let idle = groups
        .values()
        .find(|group| !matches!(group.state(), State::Active | State::Backup));
    match idle {
        Some(group) => latch.not_ready(format!("{}: {}", group.settings().name, group.why())),
        None => latch.ready(),
    }
}

/// Numbers of groups: a group keeps its number while it lives at the same place.
#[derive(Debug, Default)]
struct Slots {
    current: BTreeMap<usize, GroupPlan>,
    next: usize,
    /// Whether the kernel can help connections of a predecessor on, once it was asked.
    hand_over: Option<bool>,
}

impl Slots {
    fn assign(&mut self, plan: &Plan) -> BTreeMap<usize, GroupPlan> {
        let mut assigned = BTreeMap::new();
        let hand_over = self.can_hand_over(&plan.groups);
        for group in &plan.groups {
            let kept = self
                .current
                .iter()
                .find(|(_, old)| is_same_place(old, group));
            let number = match kept {
                Some((number, _)) => *number,
                None => {
                    self.next += 1;
                    self.next - 1
                }
            };
            let mut group = group.clone();
            if !hand_over {
                group.settings.hand_over_grace = Duration::ZERO;
            }
            assigned.insert(number, group);
        }
        self.current.clone_from(&assigned);
        assigned
    }

    /// Asks the kernel the first time that somebody wants it, and says once when it cannot.
    fn can_hand_over(&mut self, groups: &[GroupPlan]) -> bool {
        let wants = |group: &GroupPlan| !group.settings.hand_over_grace.is_zero();
        if !groups.iter().any(wants) {
            return false;
        }
        *self.hand_over.get_or_insert_with(|| {
            let supported = hand_over::supported(groups);
            if let Err(error) = &supported {
                tracing::warn!(%error, "the kernel cannot help connections on after a planned move (nf_tables with `dup` and ARP): they are reset then");
            }
            supported.is_ok()
        })
    }
}

fn is_same_place(old: &GroupPlan, new: &GroupPlan) -> bool {
    let place = |plan: &GroupPlan| -> Vec<_> {
        plan.routers
            .iter()
            .map(|router| {
                (
                    router.interface.clone(),
                    router.anchor,
                    router.source,
                    router.multicast,
                    router.vrid,
                )
            })
            .collect()
    };
    old.settings.name == new.settings.name && place(old) == place(new)
}

/// The tokio side.
struct Serving {
    setup: Setup,
    events: Sender<Event>,
    records: Records,
    readiness: Readiness,
    urgency: Urgency,
    slots: Slots,
}

impl Serving {
    async fn until_stopped(self, router: thread::JoinHandle<io::Result<()>>) -> anyhow::Result<()> {
        let shutdown = Shutdown::install()?;
        let stop = shutdown.token();
        let view = SharedView::default();
        let config_error = Arc::new(Mutex::new(None::<String>));
        let admin_stop = CancellationToken::new();
        let registry = new_registry("vrrp");
        let ask = asker(self.events.clone());
        registry
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .register_collector(Box::new(Metrics::new(ask.clone())));
        let (plans, watched) = watch::channel(self.setup.plan.health.clone());
        let status = {
            let (view, config_error) = (Arc::clone(&view), Arc::clone(&config_error));
            let urgency = self.urgency;
            Arc::new(move || status(ask(), &view, &config_error, urgency))
        };
        let admin = Admin {
            addr: self.setup.plan.admin,
            readiness: self.readiness,
            registry,
            status,
        };
        let records = self.records;
        let record = move || {
            Page::json_lines(format!(
                "{}{}",
                records.inputs.dump(),
                records.packets.dump()
            ))
        };
        let admin = tokio::spawn(admin.route("/record", record).serve(admin_stop.clone()));
        let events = self.events.clone();
        let report = move |health| {
            events.send(Event::Health(health));
        };
        let probing = tokio::spawn(probes::run(watched, view, report, shutdown.token()));
        let reload = Reload {
            watch: ContentWatch::new(&self.setup.file, RELOAD_PERIOD).seen(self.setup.text),
            file: self.setup.file,
            slots: self.slots,
            plans,
            events: self.events.clone(),
            error: config_error,
        };
        let reloading = tokio::spawn(reload.run());
        let mut ended = tokio::task::spawn_blocking(move || router.join());
        let ended = tokio::select! {
            ended = &mut ended => ended,
            () = stop.cancelled() => {
                self.events.send(Event::Stop);
                ended.await
            }
        };
        reloading.abort();
        probing.abort();
        admin_stop.cancel();
        let _ = tokio::time::timeout(Duration::from_millis(200), admin).await;
        ended?
            .map_err(|_| anyhow::anyhow!("the router thread panicked"))?
            .context("router thread")
    }
}

/// Asks the router thread for a snapshot.
fn asker(events: Sender<Event>) -> impl Fn() -> Option<Snapshot> + Clone + Send + Sync + 'static {
    move || {
        let (answer, question) = {
            let (sender, receiver) = sync_channel(1);
            (receiver, sender)
        };
        events.send(Event::Snapshot(question));
        answer.recv_timeout(SNAPSHOT_WAIT).ok()
    }
}

fn status(
    snapshot: Option<Snapshot>,
    view: &SharedView,
    config_error: &Mutex<Option<String>>,
    urgency: Urgency,
) -> Value {
    let view = view.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let config_error = config_error
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let mut value = match snapshot {
        Some(snapshot) => serde_json::to_value(snapshot).unwrap_or_else(|_| json!({})),
        None => json!({ "error": "the router thread does not answer" }),
    };
    if let Some(object) = value.as_object_mut() {
        object.insert(
            "health".to_owned(),
            json!({
                "verdict": view.verdict,
                "live": view.live,
                "ready": view.ready,
                "since": view.since.and_then(|since| jiff::Timestamp::try_from(since).ok())
                    .map(|stamp| format!("{stamp:.3}")),
                "why": view.detail,
            }),
        );
        object.insert("scheduling".to_owned(), urgency.name().into());
        object.insert("configError".to_owned(), config_error.into());
    }
    value
}

/// Watches the file and hands over what it says.
struct Reload {
    watch: ContentWatch,
    file: PathBuf,
    slots: Slots,
    plans: watch::Sender<Option<crate::health::HealthPlan>>,
    events: Sender<Event>,
    error: Arc<Mutex<Option<String>>>,
}

impl Reload {
    async fn run(mut self) {
        loop {
            let text = self.watch.changed().await;
            let problem = match crate::cli::plan(&text, &self.file) {
                Ok(plan) => {
                    tracing::info!(file = %self.file.display(), "configuration changed");
                    self.plans.send_replace(plan.health.clone());
                    self.events.send(Event::Plan(self.slots.assign(&plan)));
                    None
                }
                Err(problem) => {
                    tracing::error!(file = %self.file.display(), "the changed configuration is not used: {problem}");
                    Some(problem)
                }
            };
            *self.error.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        }
    }
}

/// Reads the configuration file.
pub(crate) fn read(file: &Path) -> io::Result<String> {
    std::fs::read_to_string(file)
}
