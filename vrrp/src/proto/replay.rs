//! What a router was told, written down, and told again to the same machine.
//!
//! The flight recorder keeps one line of JSON for everything that reached the machine. Replaying them
//! gives the same transitions, which turns an incident into a test.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Action, Datagram, Group, GroupSettings, Input, Moment};

/// Something that reached the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Record {
    /// A group was made.
    Group {
        /// Its number.
        group: usize,
        /// Whether its health is tracked.
        tracked: bool,
        /// Its settings.
        settings: Box<GroupSettings>,
    },
    /// An input.
    Input {
        /// Number of the group.
        group: usize,
        /// What it was told.
        told: Input,
    },
    /// A datagram.
    Packet {
        /// Number of the group.
        group: usize,
        /// Index of the member.
        member: usize,
        /// Microseconds between its arrival and the line's time.
        age: u64,
        /// Sender.
        source: IpAddr,
        /// Receiver.
        destination: IpAddr,
        /// TTL or hop limit.
        ttl: u8,
        /// What followed the IP header, in hexadecimal.
        message: Hex,
    },
}

/// A [`Record::Packet`] that borrows its datagram: written without allocating.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename = "packet", tag = "kind")]
pub struct PacketRecord<'a> {
    group: usize,
    member: usize,
    age: u64,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    message: HexOf<'a>,
}

impl<'a> PacketRecord<'a> {
    /// Of a datagram handed over at `now`.
    pub fn new(now: Moment, group: usize, member: usize, datagram: &Datagram<'a>) -> Self {
        Self {
            group,
            member,
            age: u64::try_from(now.since(datagram.at).as_micros()).unwrap_or(0),
            source: datagram.source,
            destination: datagram.destination,
            ttl: datagram.ttl,
            message: HexOf(&datagram.message[..datagram.message.len().min(LONGEST)]),
        }
    }
}

/// Longer messages are cut: no advert of ours is, and nobody shall fill the recorder.
const LONGEST: usize = 512;

/// Bytes as hexadecimal text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Hex(Vec<u8>);

#[derive(Debug, Clone, Copy)]
struct HexOf<'a>(&'a [u8]);

impl fmt::Display for HexOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for HexOf<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        HexOf(&self.0).serialize(serializer)
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err("an odd number of hexadecimal digits");
        };
        let digit = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|one| u8::try_from(one).ok())
        };
        let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
        pairs
            .iter()
            .map(byte)
            .collect::<Option<_>>()
            .map(Self)
            .ok_or("not a hexadecimal digit")
    }
}

/// A line of the flight recorder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// Microseconds since the process started.
    pub at: u64,
    /// What reached the machine.
    pub input: Record,
}

/// A line that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ReplayError {
    line: usize,
    problem: String,
}

/// Reads the lines of a record, in order of time. Lines that only count what was lost are skipped.
///
/// # Errors
/// The first line that is not one.
pub fn read(text: &str) -> Result<Vec<Line>, ReplayError> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with("{\"dropped\"") {
            continue;
        }
        let line = serde_json::from_str(line).map_err(|error| ReplayError {
            line: index + 1,
            problem: error.to_string(),
        })?;
        lines.push(line);
    }
    lines.sort_by_key(|line: &Line| line.at);
    Ok(lines)
}

/// Tells the machine everything again; gives a line for every transition and alarm.
///
/// Timers are served when they were due, so a record of a process that stalled shows what it would have
/// done without the stall, except where a later line says how late it came.
pub fn replay(lines: &[Line]) -> Vec<String> {
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    let mut told = Vec::new();
    let mut left = MOST_TIMERS;
    // Ages reach back before the first line.
    let moment = |micros: u64| {
        let micros = micros.saturating_add(3_600_000_000);
        Moment::from_nanos(micros.saturating_mul(1000))
    };
    for line in lines {
        let now = moment(line.at);
        for (number, group) in &mut groups {
            serve_timers(*number, group, now, line.at, &mut told, &mut left);
        }
        let number = match &line.input {
            Record::Group {
                group,
                tracked,
                settings,
            } => {
                groups.insert(*group, Group::new((**settings).clone(), *tracked));
                *group
            }
            Record::Input { group, told } => {
                if let Some(group) = groups.get_mut(group) {
                    group.handle_input(now, told.clone());
                }
                *group
            }
            Record::Packet {
                group,
                member,
                age,
                source,
                destination,
                ttl,
                message,
            } => {
                let datagram = Datagram {
                    at: now.before(Duration::from_micros(*age)),
                    source: *source,
                    destination: *destination,
                    ttl: *ttl,
                    message: &message.0,
                };
                if let Some(group) = groups.get_mut(group) {
                    group.handle_datagram(now, *member, &datagram);
                }
                *group
            }
        };
        if let Some(group) = groups.get_mut(&number) {
            tell(number, group, line.at, &mut told);
        }
    }
    told
}

/// A record can ask for a very long time; so many timers are enough for hours of 10 ms adverts.
const MOST_TIMERS: usize = 1_000_000;

fn serve_timers(
    number: usize,
    group: &mut Group,
    now: Moment,
    at: u64,
    told: &mut Vec<String>,
    left: &mut usize,
) {
    while let Some(due) = group.poll_timeout().filter(|due| *due <= now && *left > 0) {
        *left -= 1;
        group.handle_timeout(due, due);
        let ago = u64::try_from(now.since(due).as_micros()).unwrap_or(0);
        tell(number, group, at.saturating_sub(ago), told);
    }
}

fn tell(number: usize, group: &mut Group, at: u64, told: &mut Vec<String>) {
    while let Some(action) = group.poll_action() {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "{:>14.6} group {number}: ",
            Duration::from_micros(at).as_secs_f64()
        );
        match action {
            Action::Transition { from, to, why } => {
                let _ = write!(text, "{from} -> {to}: {why}");
            }
            Action::Alarm(alarm) => {
                let _ = write!(text, "alarm: {alarm}");
            }
            _ => continue,
        }
        told.push(text);
    }
}
