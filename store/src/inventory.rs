//! Inventories: everything that one attempt at a step made. A step writes one inventory when it is
//! complete; its result and the manifest carry a reference alone.
//!
//! Segments share objects. Each is a part with a name, a size and a hash of its own, and parts lie
//! one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use chalkstream_formats::hex;
use serde::{Deserialize, Serialize};

use crate::objects::sha256_hex;
use crate::{Error, Manifest, ObjectFacts, Result, Store, layout};

/// Version of the format.
const VERSION: u32 = 1;

/// A reference to an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryRef {
    /// Its key, relative to the recording.
    pub key: String,
    /// Number of the objects it names.
    pub objects: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Hex SHA-256 of the inventory itself.
    pub sha256: String,
}

/// Everything that one attempt made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Version of this format: 1.
    pub version: u32,
    /// Fence of the attempt.
    pub fence: u64,
    /// Name of the step.
    pub step: String,
    /// Its objects, by key relative to the recording.
    pub objects: BTreeMap<String, InventoryObject>,
}

/// One object of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryObject {
    /// Size and hash.
    #[serde(flatten)]
    pub facts: ObjectFacts,
    /// The segments it consists of, one after another; empty if it is served as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<InventoryPart>,
}

/// A segment in an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryPart {
    /// Name, beside the object.
    pub name: String,
    /// Size and hash.
    #[serde(flatten)]
    pub facts: ObjectFacts,
}

impl Inventory {
    /// The inventory of an attempt.
    pub fn new(fence: u64, step: &str, objects: BTreeMap<String, InventoryObject>) -> Self {
        Self { version: VERSION, fence, step: step.to_owned(), objects }
    }
}

/// Writes an inventory, after everything that it names.
///
/// # Errors
/// If storage does not answer.
pub async fn write(
    store: &Store,
    tenant: &str,
    recording: &str,
    inventory: &Inventory,
) -> Result<InventoryRef> {
    let body = serde_json::to_vec(inventory)
        .map_err(|e| Error::internal("an inventory cannot be written as json").with_source(e))?;
    let written = InventoryRef {
        key: layout::inventory_relative(inventory.fence, &inventory.step),
        objects: inventory.objects.len() as u64,
        size_bytes: inventory.objects.values().map(|object| object.facts.size_bytes).sum(),
        sha256: sha256_hex(&body),
    };
    store.put(&layout::object_key(tenant, recording, &written.key), Bytes::from(body)).await?;
    Ok(written)
}

/// Reads an inventory and checks its hash.
///
/// # Errors
/// If storage does not answer, or the inventory is not the one that was written.
pub async fn read(
    store: &Store,
    tenant: &str,
    recording: &str,
    reference: &InventoryRef,
) -> Result<Inventory> {
    let body = store.get(&layout::object_key(tenant, recording, &reference.key)).await?;
    parse(&body, &reference.sha256)
}

fn parse(body: &[u8], sha256: &str) -> Result<Inventory> {
    if sha256_hex(body) != sha256 {
        return Err(Error::corrupt("an inventory is not the one that was written"));
    }
    let inventory: Inventory = serde_json::from_slice(body)
        .map_err(|e| Error::corrupt("an inventory cannot be read").with_source(e))?;
    if inventory.version != VERSION {
        return Err(Error::corrupt("an inventory has a version that is not known"));
    }
    Ok(inventory)
}

/// Reads an inventory into an index, off the runtime: a long one takes milliseconds.
///
/// # Errors
/// As [`read`], and if the inventory contradicts itself.
pub async fn read_index(
    store: &Store,
    tenant: &str,
    recording: &str,
    reference: &InventoryRef,
) -> Result<InventoryIndex> {
    let body = store.get(&layout::object_key(tenant, recording, &reference.key)).await?;
    let sha256 = reference.sha256.clone();
    let parsed = tokio::task::spawn_blocking(move || InventoryIndex::new(parse(&body, &sha256)?));
    parsed.await.map_err(|e| Error::internal("an inventory was not read").with_source(e))?
}

/// Keys, relative to the recording, of all objects that a manifest names: itself, and through its
/// inventories, which are among them.
///
/// # Errors
/// If an inventory cannot be read.
pub async fn named_keys(store: &Store, manifest: &Manifest) -> Result<BTreeSet<String>> {
    let mut keys: BTreeSet<String> = manifest.objects.keys().cloned().collect();
    for reference in manifest.inventories.values() {
        let inventory = read(store, &manifest.tenant, &manifest.recording, reference).await?;
        keys.extend(inventory.objects.into_keys());
        keys.insert(reference.key.clone());
    }
    Ok(keys)
}

/// Where a resource lies: an object, or a range of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Key of the object, relative to the recording.
    pub object: String,
    /// The range; `None` for all of it.
    pub range: Option<Range<u64>>,
    /// Size of the resource, in bytes.
    pub size_bytes: u64,
    /// The first 128 bits of its SHA-256 in hex, which stand for its content.
    pub hash: String,
}

impl Location {
    /// All of an object.
    pub fn of_object(key: &str, facts: &ObjectFacts) -> Self {
        let hash = facts.sha256.get(..HASH_BYTES * 2).unwrap_or(&facts.sha256).to_owned();
        Self { object: key.to_owned(), range: None, size_bytes: facts.size_bytes, hash }
    }
}

/// Bytes of a hash that an index keeps.
const HASH_BYTES: usize = 16;

/// An inventory for finding single resources: 24 bytes a segment.
#[derive(Debug)]
pub struct InventoryIndex {
    /// Sorted by key.
    objects: Box<[IndexedObject]>,
}

#[derive(Debug)]
struct IndexedObject {
    key: Box<str>,
    size_bytes: u64,
    hash: [u8; HASH_BYTES],
    /// Sorted by number.
    parts: Box<[IndexedPart]>,
}

#[derive(Debug)]
struct IndexedPart {
    number: u32,
    size_bytes: u32,
    hash: [u8; HASH_BYTES],
}

impl InventoryIndex {
    /// The index of an inventory.
    ///
    /// # Errors
    /// If the inventory contradicts itself.
    pub fn new(inventory: Inventory) -> Result<Self> {
        let objects = inventory.objects.into_iter().map(|(key, object)| IndexedObject::new(key, &object));
        objects
            .collect::<Option<_>>()
            .map(|objects| Self { objects })
            .ok_or_else(|| Error::corrupt("an inventory contradicts itself"))
    }

    /// Where the resource with this key lies; `None` if the attempt made none.
    pub fn find(&self, key: &str) -> Option<Location> {
        if let Ok(at) = self.objects.binary_search_by(|object| (*object.key).cmp(key)) {
            let object = &self.objects[at];
            return Some(Location {
                object: key.to_owned(),
                range: None,
                size_bytes: object.size_bytes,
                hash: hex::encode(&object.hash),
            });
        }
        let (folder, name) = key.split_at(key.rfind('/')? + 1);
        let (number, extension) = numbered(name)?;
        let first = self.objects.partition_point(|object| *object.key < *folder);
        let beside = self.objects[first..].iter().take_while(|object| object.key.starts_with(folder));
        beside.filter(|object| object.extension() == extension).find_map(|object| object.part(number))
    }

    /// Approximate size in memory.
    pub fn weight(&self) -> usize {
        let one = |object: &IndexedObject| {
            size_of::<IndexedObject>() + object.key.len() + size_of_val(&*object.parts) + 32
        };
        self.objects.iter().map(one).sum()
    }
}

impl IndexedObject {
    fn new(key: String, object: &InventoryObject) -> Option<Self> {
        let extension = key.rsplit_once('.').map_or("", |(_, extension)| extension);
        let part = |part: &InventoryPart| {
            let (number, _) = numbered(&part.name).filter(|(_, own)| *own == extension)?;
            let size_bytes = part.facts.size_bytes.try_into().ok()?;
            Some(IndexedPart { number, size_bytes, hash: hash(&part.facts)? })
        };
        let parts = object.parts.iter().map(part).collect::<Option<Box<[_]>>>()?;
        let size_bytes: u64 = parts.iter().map(|part| u64::from(part.size_bytes)).sum();
        let is_all = parts.is_empty() || size_bytes == object.facts.size_bytes;
        if !is_all || !parts.is_sorted_by(|a, b| a.number < b.number) {
            return None;
        }
        let (size_bytes, hash) = (object.facts.size_bytes, hash(&object.facts)?);
        Some(Self { key: key.into(), size_bytes, hash, parts })
    }

    fn extension(&self) -> &str {
        self.key.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    fn part(&self, number: u32) -> Option<Location> {
        let at = self.parts.binary_search_by_key(&number, |part| part.number).ok()?;
        let offset: u64 = self.parts[..at].iter().map(|part| u64::from(part.size_bytes)).sum();
        let size_bytes = u64::from(self.parts[at].size_bytes);
        Some(Location {
            object: self.key.to_string(),
            range: Some(offset..offset + size_bytes),
            size_bytes,
            hash: hex::encode(&self.parts[at].hash),
        })
    }
}

fn hash(facts: &ObjectFacts) -> Option<[u8; HASH_BYTES]> {
    hex::decode(facts.sha256.get(..HASH_BYTES * 2)?)
}

/// Number and extension of a segment's name, `00001.m4s`; `None` for any other.
pub fn numbered(name: &str) -> Option<(u32, &str)> {
    let (stem, extension) = name.split_once('.')?;
    let number: u32 = stem.parse().ok()?;
    (format!("{number:05}") == stem).then_some((number, extension))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::testing::folder;

    fn part(name: &str, bytes: &[u8]) -> InventoryPart {
        InventoryPart { name: name.into(), facts: ObjectFacts::from_bytes(bytes) }
    }

    fn inventory() -> Inventory {
        let shared = InventoryObject {
            facts: ObjectFacts::from_bytes(b"onethree"),
            parts: vec![part("00001.m4s", b"one"), part("00002.m4s", b"three")],
        };
        let init = InventoryObject { facts: ObjectFacts::from_bytes(b"init"), parts: Vec::new() };
        let objects = [("segments-001.m4s", shared), ("init.mp4", init)];
        let objects = objects.map(|(name, object)| (format!("hls/video/7/v240/{name}"), object));
        Inventory::new(7, "weak_line", objects.into())
    }

    #[tokio::test]
    async fn what_was_written_is_read_and_nothing_else() {
        let (store, _folder) = folder().await;
        let id = layout::new_recording_id();
        let reference = write(&store, "t", &id, &inventory()).await.unwrap();
        assert_eq!((reference.objects, reference.size_bytes), (2, 12));
        assert_eq!(reference.key, "inventory/7/weak_line.json");
        assert_eq!(read(&store, "t", &id, &reference).await.unwrap(), inventory());

        let mut manifest = Manifest::new("t", &id);
        manifest.inventories.insert(7, reference.clone());
        let named = named_keys(&store, &manifest).await.unwrap();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        assert_eq!(
            named,
            ["hls/video/7/v240/init.mp4", "hls/video/7/v240/segments-001.m4s", "inventory/7/weak_line.json"]
        );

        let other =
            Inventory { fence: 7, step: "weak_line".into(), ..Inventory::new(7, "", BTreeMap::new()) };
        write(&store, "t", &id, &other).await.unwrap();
        assert_eq!(read(&store, "t", &id, &reference).await.unwrap_err().kind, Kind::Corrupt);
    }

    #[test]
    fn a_segment_is_a_range_and_any_other_object_is_all_of_it() {
        let index = InventoryIndex::new(inventory()).unwrap();
        let second = index.find("hls/video/7/v240/00002.m4s").unwrap();
        assert_eq!(second.object, "hls/video/7/v240/segments-001.m4s");
        assert_eq!((second.range, second.size_bytes), (Some(3..8), 5));
        assert_eq!(second.hash, sha256_hex(b"three")[..32]);
        let init = "hls/video/7/v240/init.mp4";
        let facts = ObjectFacts::from_bytes(b"init");
        assert_eq!(index.find(init), Some(Location::of_object(init, &facts)));
        for key in ["v240/00003.m4s", "v240/00001.vtt", "v240/1.m4s", "v24/00001.m4s", "v240/00001"] {
            assert_eq!(index.find(&format!("hls/video/7/{key}")), None, "{key}");
        }
    }

    #[test]
    fn an_inventory_that_contradicts_itself_is_refused() {
        let mut cut = inventory();
        cut.objects.get_mut("hls/video/7/v240/segments-001.m4s").unwrap().parts.pop();
        assert!(InventoryIndex::new(cut).is_err());
        let mut twice = inventory();
        let shared = twice.objects.get_mut("hls/video/7/v240/segments-001.m4s").unwrap();
        shared.parts[1].name = "00001.m4s".into();
        assert!(InventoryIndex::new(twice).is_err());
    }
}
