//! X.509 certificates as far as a check needs them: until when they are valid.
//!
//! Read by hand, because nothing else of them is wanted: a certificate is a sequence whose first member (`TBSCertificate`,
//! RFC 5280 §4.1) has serial number, algorithm, issuer and then the validity.

/// A certificate file of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Where it is.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since 1970 until which the first certificate in it is valid; `None`: it holds none that can be read.
    pub not_after: Option<i64>,
}

impl Certificate {
    /// Reads what `script::read_certificates` prints.
    pub fn parse_all(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("cert ")?.splitn(3, ' ');
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        let path = words.next()?.to_owned();
        let body = words.next().unwrap_or_default();
        let not_after = from_base64(body.trim()).and_then(|der| not_after(&der));
        Some(Self {
            path,
            mode,
            not_after,
        })
    }

    /// Whether a program that does not run as root can read it.
    pub fn is_public(&self) -> bool {
        self.mode & 0o004 != 0
    }
}

/// Tags of DER (X.690 §8).
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which may be left out.
const EXPLICIT_0: u8 = 0xa0;
/// Serial number, algorithm, issuer.
const BEFORE_VALIDITY: usize = 3;

/// `notAfter` of a certificate, in seconds since 1970.
fn not_after(der: &[u8]) -> Option<i64> {
    let (tag, certificate, _) = element(der)?;
    let (inner_tag, mut rest, _) = element(certificate)?;
    if (tag, inner_tag) != (SEQUENCE, SEQUENCE) {
        return None;
    }
    if let Some((EXPLICIT_0, _, after)) = element(rest) {
        rest = after;
    }
    for _ in 0..BEFORE_VALIDITY {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after_not_before) = element(validity)?;
    let (tag, time, _) = element(after_not_before)?;
    seconds(tag, std::str::from_utf8(time).ok()?)
}

/// Tag, content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(*first & 0x7f);
        // Four bytes are more than any certificate has.
        let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        let add = |sum: usize, byte: &u8| sum * 256 + usize::from(*byte);
        (digits.iter().fold(0, add), rest.get(count..)?)
    };
    Some((*tag, rest.get(..length)?, rest.get(length..)?))
}

/// `YYMMDDhhmmssZ`, or with four digits of the year (RFC 5280 §4.1.2.5).
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, at) = match tag {
        UTC_TIME => {
            let year = number(0, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, 2)
        }
        GENERALIZED_TIME => (number(0, 4)?, 4),
        _ => return None,
    };
    let part = |index: usize| number(at + 2 * index, at + 2 * index + 2);
    let (month, day) = (part(0)?, part(1)?);
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day);
    let clock = part(2)? * 3600 + part(3)? * 60 + part(4)?;
    valid.then(|| days(year, month, day) * 86_400 + clock)
}

/// Days since 1970 of a date of the Gregorian calendar; years begin in March here, so that leap days are at their end.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Bytes of base64 (RFC 4648 §4); `None`: it is none, or empty.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').bytes().map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let digits = digits.collect::<Option<Vec<u8>>>()?;
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let sum = group
            .iter()
            .fold(0u32, |sum, digit| sum * 64 + u32::from(*digit));
        let missing = 4 - group.len();
        // The last group has a byte less for every digit that it lacks.
        let whole = (0..missing).fold(sum, |sum, _| sum * 64);
        let [_, high, middle, low] = whole.to_be_bytes();
        bytes.extend([high, middle, low].iter().take(3 - missing.min(3)));
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("short");
        let mut bytes = vec![tag];
        if length >= 0x80 {
            bytes.push(0x81);
        }
        bytes.push(length);
        bytes.extend(content);
        bytes
    }

    /// What a certificate has before its key.
    fn certificate(version: bool, tag: u8, until: &str) -> Vec<u8> {
        let time = |text: &str| tlv(UTC_TIME, text.as_bytes());
        let validity = [time("200101000000Z"), tlv(tag, until.as_bytes())].concat();
        let mut members = Vec::new();
        if version {
            members.push(tlv(EXPLICIT_0, &tlv(2, &[2])));
        }
        // The issuer is longer than one byte of length can say.
        members.extend([tlv(2, &[7]), tlv(SEQUENCE, &[]), tlv(SEQUENCE, &[0; 130])]);
        members.push(tlv(SEQUENCE, &validity));
        tlv(SEQUENCE, &tlv(SEQUENCE, &members.concat()))
    }

    #[test]
    fn a_certificate_says_until_when_it_is_valid() {
        // `date -u -d '2027-03-01 12:30:45' +%s` and so on.
        for (tag, text, expected) in [
            (UTC_TIME, "270301123045Z", 1_803_904_245),
            (UTC_TIME, "700101000000Z", 0),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (GENERALIZED_TIME, "20000229000000Z", 951_782_400),
        ] {
            for version in [true, false] {
                let der = certificate(version, tag, text);
                assert_eq!(not_after(&der), Some(expected), "{text}");
            }
        }
    }

    #[test]
    fn a_certificate_that_is_cut_or_odd_is_none() {
        let der = certificate(true, UTC_TIME, "270301123045Z");
        for length in 0..der.len() {
            assert_eq!(not_after(&der[..length]), None, "{length}");
        }
        for odd in [
            "271301123045Z",
            "27030112304Z",
            "270301123045",
            "27é301123045Z",
        ] {
            assert_eq!(not_after(&certificate(true, UTC_TIME, odd)), None, "{odd}");
        }
        assert_eq!(not_after(&[SEQUENCE, 0x89, 1]), None);
    }

    #[test]
    fn base64_is_read_with_and_without_its_tail() {
        for (text, bytes) in [
            ("Zg==", &b"f"[..]),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm9vYg", b"foob"),
            ("+/+/", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes), "{text}");
        }
        for odd in ["", "Z!", "Zm9v\n"] {
            assert_eq!(from_base64(odd), None, "{odd}");
        }
    }

    #[test]
    fn lines_of_a_machine_become_certificates() {
        let text =
            "cert 644 /etc/kubernetes/pki/ca.crt MAA=\nnoise\ncert 600 /etc/lbnode/ca.crt \n";
        let all = Certificate::parse_all(text);
        assert_eq!(all.len(), 2);
        assert!(all[0].is_public() && !all[1].is_public());
        assert_eq!((all[0].not_after, all[1].not_after), (None, None));
        assert_eq!(all[1].path, "/etc/lbnode/ca.crt");
    }
}
