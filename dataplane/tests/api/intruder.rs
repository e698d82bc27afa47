//! Processes of somebody on the segment who means harm: one records heartbeats, another sends frames as fast as it is told.

use std::{
    env,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use l2::{
    linux::{
        filter::{Field, Filter},
        link::Links,
        packet::PacketSocket,
    },
    wire::EtherType,
};

use crate::{role::Role, server::Place};

/// Threads that send.
const SENDERS: u32 = 2;
const UDP: u32 = 17;
/// Where the intruder is, by the end of its addresses.
pub(crate) const INTRUDER: u8 = 66;
/// Where heartbeats go.
pub(crate) const PORT: u16 = 7946;

/// Records what arrives at a place; it ends with this.
pub(crate) struct Recorder {
    file: PathBuf,
    _role: Role,
}

impl Recorder {
    pub(crate) fn start(place: &Place, file: PathBuf) -> Self {
        let name = file.display().to_string();
        Self {
            _role: Role::with(place, "recorder", &[("FILE", &*name)]),
            file,
        }
    }

    /// The frames so far.
    pub(crate) fn frames(&self) -> Vec<Vec<u8>> {
        read(&self.file)
    }
}

/// Sends frames again and again, for some time.
pub(crate) struct Sender {
    told: PathBuf,
    role: Role,
}

impl Sender {
    /// Sends these from a place, so many of them a second, for so many seconds.
    pub(crate) fn start(
        place: &Place,
        folder: &Path,
        frames: &[Vec<u8>],
        rate: u32,
        lasts: u32,
    ) -> Self {
        let (file, told) = (folder.join("frames"), folder.join("sent"));
        let mut bytes = Vec::new();
        for frame in frames {
            put(&mut bytes, frame);
        }
        fs::write(&file, bytes).unwrap();
        let _ = fs::remove_file(&told);
        let words = [
            file.display().to_string(),
            told.display().to_string(),
            rate.to_string(),
            lasts.to_string(),
        ];
        let names = ["FILE", "TOLD", "RATE", "LASTS"];
        let variables: Vec<(&str, &str)> = names
            .into_iter()
            .zip(words.iter().map(String::as_str))
            .collect();
        Self {
            role: Role::with(place, "sender", &variables),
            told,
        }
    }

    /// Whether it is at work.
    pub(crate) fn is_running(&mut self) -> bool {
        self.role.is_running()
    }

    /// Waits until it ends; frames that it sent in a second.
    pub(crate) fn finish(self) -> f64 {
        self.role.finish();
        fs::read_to_string(&self.told).unwrap().parse().unwrap()
    }
}

fn put(bytes: &mut Vec<u8>, frame: &[u8]) {
    let length = u16::try_from(frame.len()).unwrap();
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(frame);
}

/// The whole frames in a file.
fn read(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap_or_default();
    let (mut rest, mut frames) = (&*bytes, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((frame, next)) = after.split_at_checked(length) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = next;
    }
    frames
}

fn interface() -> u32 {
    Links::read().unwrap().by_name("eth0").unwrap().index
}

/// What the process of a [`Recorder`] does until it is killed.
pub(crate) fn record() {
    let heartbeats = Filter::default()
        .one_of(Field::Byte(23), &[UDP])
        .one_of(Field::Half(36), &[PORT.into()])
        .keep();
    let mut socket = PacketSocket::open(interface(), EtherType::Ipv4, &heartbeats).unwrap();
    let mut file = File::create(env::var("FILE").unwrap()).unwrap();
    loop {
        while let Ok(Some(frame)) = socket.receive() {
            let mut bytes = Vec::new();
            put(&mut bytes, frame);
            file.write_all(&bytes).unwrap();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// What the process of a [`Sender`] does.
pub(crate) fn send() {
    let number = |name: &str| -> u32 { env::var(name).unwrap().parse().unwrap() };
    let (rate, lasts) = (number("RATE"), number("LASTS"));
    let frames = read(Path::new(&env::var("FILE").unwrap()));
    assert!(!frames.is_empty(), "there is nothing to send");
    let lasts = Duration::from_secs(lasts.into());
    let (index, sent) = (interface(), AtomicU64::new(0));
    thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (frames, sent) = (&frames, &sent);
            scope.spawn(move || {
                let [part, parts] = [sender, SENDERS].map(|one| usize::try_from(one).unwrap());
                let skipped = frames.len() * part / parts;
                let count = send_from(index, &frames[skipped..], frames, rate / SENDERS, lasts);
                sent.fetch_add(count, Relaxed);
            });
        }
    });
    let in_a_second = sent.into_inner() as f64 / lasts.as_secs_f64();
    fs::write(env::var("TOLD").unwrap(), in_a_second.to_string()).unwrap();
}

/// One sender's part, a millisecond's worth at a time: first some of the frames, then all of them in turn.
fn send_from(index: u32, first: &[Vec<u8>], all: &[Vec<u8>], rate: u32, lasts: Duration) -> u64 {
    let socket = PacketSocket::open(index, EtherType::Arp, &Filter::nothing()).unwrap();
    let mut frames = first.iter().chain(all.iter().cycle());
    let begun = Instant::now();
    let (mut tried, mut sent) = (0_u128, 0);
    while begun.elapsed() < lasts {
        let due = begun.elapsed().as_micros() * u128::from(rate) / 1_000_000;
        while tried < due {
            tried += 1;
            if let Some(frame) = frames.next()
                && socket.send(frame).is_ok()
            {
                sent += 1;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    sent
}
