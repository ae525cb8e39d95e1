//! The text of a log object: a first line with its version, then a line for each record.

use super::entry::RevocationEntry;
use super::target::TargetName;
use crate::layout;

/// First line of an object.
const HEADER: &str = "chalkstream revocations 1";

/// A revocation, or that one was lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RevocationRecord {
    /// The tenant that it belongs to.
    pub(crate) tenant: String,
    /// The target.
    pub(crate) name: TargetName,
    /// When, for how long, and which of the two.
    pub(crate) entry: RevocationEntry,
}

/// The content of an object.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Its records.
    pub(super) records: Vec<RevocationRecord>,
    /// Lines that cannot be read.
    pub(super) unreadable: u64,
}

/// The text of records.
pub(super) fn encode<'a>(records: impl IntoIterator<Item = &'a RevocationRecord>) -> String {
    let mut text = format!("{HEADER}\n");
    for RevocationRecord { tenant, name, entry } in records {
        let action = if entry.is_lifted() { "lift" } else { "revoke" };
        let (kind, id) = (name.kind().as_str(), name.hex());
        let (at_ms, until_s) = (entry.at_ms(), entry.until_s());
        text.push_str(&format!("{action}\t{tenant}\t{kind}\t{id}\t{at_ms}\t{until_s}\n"));
    }
    text
}

/// Reads a text. A line may have further columns, which a later version added.
pub(super) fn parse(text: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let Some(text) = std::str::from_utf8(text).ok().and_then(|text| text.strip_prefix(HEADER)) else {
        parsed.unreadable = 1;
        return parsed;
    };
    for line in text.lines().skip(1) {
        match line_record(line) {
            Some(record) => parsed.records.push(record),
            None => parsed.unreadable += 1,
        }
    }
    parsed
}

fn line_record(line: &str) -> Option<RevocationRecord> {
    let mut columns = line.split('\t');
    let mut column = || columns.next();
    let is_lifted = match column()? {
        "revoke" => false,
        "lift" => true,
        _ => return None,
    };
    let tenant = column().filter(|tenant| layout::valid_tenant(tenant))?.to_owned();
    let name = TargetName::from_parts(column()?, column()?)?;
    let (at_ms, until_s) = (column()?.parse().ok()?, column()?.parse().ok()?);
    Some(RevocationRecord { tenant, name, entry: RevocationEntry::new(at_ms, until_s, is_lifted) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    #[test]
    fn what_was_written_is_read_back() {
        let name = |id: &str| TargetName::new("t", &Target::Viewer(id.into())).unwrap();
        let record = |id, is_lifted| RevocationRecord {
            tenant: "t".into(),
            name: name(id),
            entry: RevocationEntry::new(1_795_000_000_123, 1_795_600_000, is_lifted),
        };
        let records = [record("a", false), record("b", true)];
        let text = encode(&records);
        let parsed = parse(text.as_bytes());
        assert_eq!((parsed.records.as_slice(), parsed.unreadable), (&records[..], 0));

        let later = text.replace("1795600000\n", "1795600000\tmore\n");
        assert_eq!(parse(later.as_bytes()).records, records);
        let damaged = text.replacen("revoke", "revive", 1);
        let parsed = parse(damaged.as_bytes());
        assert_eq!((parsed.records.as_slice(), parsed.unreadable), (&records[1..], 1));
        for bad in [&b""[..], b"{}", b"\xff"] {
            assert_eq!(parse(bad).unreadable, 1);
        }
    }
}
