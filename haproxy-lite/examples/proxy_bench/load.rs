//! The load.

use std::collections::VecDeque;
use std::io::{self, Error, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::Load;
use crate::net::{self, ANSWER, REQUEST, WATCH, WATCHED, request};

/// When the measured time begins and ends, and what happened in it.
struct Measure {
    begins: Instant,
    ends: Instant,
    announced: bool,
    latencies: Vec<u64>,
    operations: u64,
    errors: u64,
}

impl Measure {
    fn new(load: &Load) -> Self {
        let begins = Instant::now() + load.warm();
        Self {
            begins,
            ends: begins + load.measured(),
            announced: false,
            latencies: Vec::new(),
            operations: 0,
            errors: 0,
        }
    }

    /// False when the time is over.
    fn goes_on(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        if !self.announced && now >= self.begins {
            self.announced = true;
            self.latencies.clear();
            self.operations = 0;
            self.errors = 0;
            println!("start");
            io::stdout().flush()?;
        }
        Ok(now < self.ends)
    }

    fn answered(&mut self, since: Instant) {
        self.operations += 1;
        self.latencies
            .push(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }

    fn report(mut self) {
        self.latencies.sort_unstable();
        let percentile = |of_hundred: usize| {
            let index = self.latencies.len().saturating_sub(1) * of_hundred / 100;
            #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
            let micros = self
                .latencies
                .get(index)
                .map_or(0.0, |nanos| *nanos as f64 / 1000.0);
            micros
        };
        println!(
            "{{\"operations\":{},\"seconds\":{},\"p50_us\":{},\"p99_us\":{},\"errors\":{}}}",
            self.operations,
            (self.ends - self.begins).as_secs_f64(),
            percentile(50),
            percentile(99),
            self.errors,
        );
    }
}

struct Connection {
    stream: TcpStream,
    since: Instant,
    asked: bool,
    got: u64,
}

/// Connect, ask, read, close, again.
pub(crate) fn short(load: &Load) -> io::Result<()> {
    net::enter(&load.netns)?;
    let epoll = net::poll()?;
    let ask = request(ANSWER, load.answer);
    let mut buffer = vec![0; 1 << 16];
    let mut turn = 0;
    let mut start = |slot: usize| -> io::Result<Connection> {
        turn += 1;
        let since = Instant::now();
        let stream = net::dial(load.targets[turn % load.targets.len()])?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        net::watch(&epoll, &stream, flags, slot)?;
        Ok(Connection {
            stream,
            since,
            asked: false,
            got: 0,
        })
    };
    let mut connections: Vec<Connection> = (0..load.connections)
        .map(&mut start)
        .collect::<io::Result<_>>()?;
    let mut measure = Measure::new(load);
    let mut events = [EpollEvent::empty(); 512];
    while measure.goes_on()? {
        let ready = epoll.wait(&mut events, EpollTimeout::from(50_u8))?;
        for event in &events[..ready] {
            let slot = usize::try_from(event.data()).map_err(Error::other)?;
            let connection = &mut connections[slot];
            let over = match short_turn(connection, event.events(), &ask, &mut buffer) {
                Ok(()) if connection.got >= load.answer => {
                    measure.answered(connection.since);
                    true
                }
                Ok(()) => false,
                Err(_) => {
                    measure.errors += 1;
                    true
                }
            };
            if over {
                connections[slot] = start(slot)?;
            }
        }
    }
    measure.report();
    Ok(())
}

fn short_turn(
    connection: &mut Connection,
    events: EpollFlags,
    ask: &[u8],
    buffer: &mut [u8],
) -> io::Result<()> {
    if events.contains(EpollFlags::EPOLLERR) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    if !connection.asked && events.contains(EpollFlags::EPOLLOUT) {
        connection.asked = true;
        net::write(connection.stream.as_fd(), ask)?;
    }
    if connection.asked && events.contains(EpollFlags::EPOLLIN) {
        match net::receive(connection.stream.as_fd(), buffer)? {
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => connection.got += read.unwrap_or(0) as u64,
        }
    }
    Ok(())
}

/// Requests on open connections.
pub(crate) fn keep(load: &Load) -> io::Result<()> {
    net::enter(&load.netns)?;
    let epoll = net::poll()?;
    let ask = request(ANSWER, load.answer);
    let mut connections = open_all(load)?;
    for (slot, connection) in connections.iter().enumerate() {
        net::watch(&epoll, &connection.stream, EpollFlags::EPOLLIN, slot)?;
    }
    let mut schedule = Schedule::new(load.rate)?;
    if let Some(timer) = &schedule.timer {
        net::watch(&epoll, timer, EpollFlags::EPOLLIN, TIMER)?;
    } else {
        for connection in &mut connections {
            connection.ask(&ask, Instant::now())?;
        }
    }
    let mut free: VecDeque<usize> = (0..connections.len()).collect();
    let mut buffer = vec![0; 1 << 16];
    let mut measure = Measure::new(load);
    let mut events = [EpollEvent::empty(); 512];
    while measure.goes_on()? {
        while let Some(due) = schedule.due(!free.is_empty()) {
            let Some(slot) = free.pop_front() else { break };
            connections[slot].ask(&ask, due)?;
        }
        schedule.arm()?;
        let ready = epoll.wait(&mut events, EpollTimeout::from(50_u8))?;
        for event in &events[..ready] {
            let slot = usize::try_from(event.data()).map_err(Error::other)?;
            let Some(connection) = connections.get_mut(slot) else {
                continue;
            };
            match net::receive(connection.stream.as_fd(), &mut buffer)? {
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => connection.got += read.unwrap_or(0) as u64,
            }
            if connection.got >= load.answer {
                measure.answered(connection.since);
                if load.rate == 0 {
                    connection.ask(&ask, Instant::now())?;
                } else {
                    free.push_back(slot);
                }
            }
        }
    }
    measure.report();
    Ok(())
}

impl Connection {
    fn ask(&mut self, ask: &[u8; REQUEST], since: Instant) -> io::Result<()> {
        (self.since, self.got) = (since, 0);
        net::write(self.stream.as_fd(), ask).map(drop)
    }

    /// Throws away what has come, up to the length of `most`.
    fn discard(&self, most: &mut [u8]) -> io::Result<u64> {
        if most.is_empty() {
            return Ok(0);
        }
        match net::discard(self.stream.as_fd(), most)? {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read.unwrap_or(0) as u64),
        }
    }
}

/// When requests are due in an open loop. A request that finds no free connection waits, and its wait counts.
struct Schedule {
    timer: Option<TimerFd>,
    interval: Duration,
    next: Instant,
    late: VecDeque<Instant>,
}

impl Schedule {
    fn new(rate: u64) -> io::Result<Self> {
        let timer = (rate > 0)
            .then(|| TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK))
            .transpose()?;
        let interval = Duration::from_nanos(1_000_000_000_u64.checked_div(rate).unwrap_or(0));
        Ok(Self {
            timer,
            interval,
            next: Instant::now(),
            late: VecDeque::new(),
        })
    }

    fn due(&mut self, somebody_free: bool) -> Option<Instant> {
        self.timer.as_ref()?;
        let now = Instant::now();
        while self.next <= now {
            self.late.push_back(self.next);
            self.next += self.interval;
        }
        somebody_free.then(|| self.late.pop_front()).flatten()
    }

    fn arm(&self) -> io::Result<()> {
        let Some(timer) = &self.timer else {
            return Ok(());
        };
        let pause = self
            .next
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(pause));
        // Setting it anew also forgets that it went off.
        Ok(timer.set(expiration, TimerSetTimeFlags::empty())?)
    }
}

/// Endless answers.
pub(crate) fn bulk(load: &Load) -> io::Result<()> {
    net::enter(&load.netns)?;
    let mut connections = open_all(load)?;
    for connection in &mut connections {
        connection.ask(&request(ANSWER, u64::MAX), Instant::now())?;
    }
    let mut measure = Measure::new(load);
    if load.rate == 0 {
        drink(&connections, &mut measure)?;
    } else {
        sip(&mut connections, load.rate, &mut measure)?;
    }
    measure.report();
    Ok(())
}

/// As quickly as it comes.
fn drink(connections: &[Connection], measure: &mut Measure) -> io::Result<()> {
    let epoll = net::poll()?;
    for (slot, connection) in connections.iter().enumerate() {
        net::watch(&epoll, &connection.stream, EpollFlags::EPOLLIN, slot)?;
    }
    let mut most = vec![0; MOUTHFUL];
    let mut events = [EpollEvent::empty(); 64];
    while measure.goes_on()? {
        let ready = epoll.wait(&mut events, EpollTimeout::from(50_u8))?;
        for event in &events[..ready] {
            let slot = usize::try_from(event.data()).map_err(Error::other)?;
            measure.operations += connections[slot].discard(&mut most)?;
        }
    }
    Ok(())
}

/// So many bytes per second of each, a thousand times a second.
fn sip(connections: &mut [Connection], rate: u64, measure: &mut Measure) -> io::Result<()> {
    let mut most = vec![0; MOUTHFUL];
    let began = Instant::now();
    while measure.goes_on()? {
        std::thread::sleep(Duration::from_millis(1));
        let micros = u64::try_from(began.elapsed().as_micros()).map_err(Error::other)?;
        let due = rate.saturating_mul(micros) / 1_000_000;
        for connection in &mut *connections {
            let wanted = usize::try_from(due.saturating_sub(connection.got)).unwrap_or(MOUTHFUL);
            let taken = connection.discard(&mut most[..wanted.min(MOUTHFUL)])?;
            connection.got += taken;
            measure.operations += taken;
        }
    }
    Ok(())
}

/// Watches that nothing happens to.
pub(crate) fn idle(load: &Load) -> io::Result<()> {
    net::enter(&load.netns)?;
    let mut connections = Vec::with_capacity(load.connections);
    for slot in 0..load.connections {
        let mut stream = TcpStream::connect(load.targets[slot % load.targets.len()])?;
        stream.write_all(&request(WATCH, 0))?;
        stream.read_exact(&mut [0; WATCHED])?;
        connections.push(stream);
    }
    println!("start");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    println!(
        "{{\"operations\":{},\"seconds\":0,\"p50_us\":0,\"p99_us\":0,\"errors\":0}}",
        connections.len()
    );
    Ok(())
}

fn open_all(load: &Load) -> io::Result<Vec<Connection>> {
    (0..load.connections)
        .map(|number| {
            let stream = net::open(load.targets[number % load.targets.len()])?;
            Ok(Connection {
                stream,
                since: Instant::now(),
                asked: true,
                got: 0,
            })
        })
        .collect()
}

const TIMER: usize = usize::MAX;
/// Bytes that one call throws away at most.
const MOUTHFUL: usize = 1 << 20;
