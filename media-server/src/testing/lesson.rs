//! A lesson as workers write it, with bytes that name their own resource.

use std::collections::BTreeMap;

use bytes::Bytes;
use chalkstream_store::{
    Inventory, InventoryObject, InventoryPart, Manifest, MediaFacts, ObjectFacts, Revision, SourceFacts,
    State, Store, inventory, layout, write_manifest,
};

/// A lesson in storage.
pub struct Lesson {
    pub id: String,
    pub manifest: Manifest,
    /// Facts of everything that can be served, by key relative to the recording.
    pub resources: BTreeMap<String, ObjectFacts>,
}

impl Lesson {
    /// The content of the object with this key.
    pub fn content(&self, key: &str) -> Vec<u8> {
        content(&self.id, key)
    }
}

fn content(id: &str, key: &str) -> Vec<u8> {
    if key.ends_with("transcript.json") {
        let words = serde_json::json!([{ "start_ms": 500, "end_ms": 900, "text": "Fractions" }]);
        let cue = serde_json::json!({ "id": 1, "start_ms": 500, "end_ms": 2500, "text": format!("Fractions {id}"), "words": words });
        return serde_json::json!({
            "version": 1, "language": "en", "model": "tiny.en", "duration_ms": 16_000, "cues": [cue],
        })
        .to_string()
        .into_bytes();
    }
    format!("{id} {key} ").repeat(40).into_bytes()
}

fn media_playlist(segments: u32, extension: &str) -> String {
    let mut text = String::from(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-PLAYLIST-TYPE:VOD\n",
    );
    if extension == "m4s" {
        text.push_str("#EXT-X-MAP:URI=\"init.mp4\"\n");
    }
    for n in 1..=segments {
        text.push_str(&format!("#EXTINF:3.200000,\n{n:05}.{extension}\n"));
    }
    text + "#EXT-X-ENDLIST\n"
}

const MASTER: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a32\",NAME=\"audio\",DEFAULT=YES,URI=\"../audio/9/a32/index.m3u8\"\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a96\",NAME=\"audio\",DEFAULT=YES,URI=\"../audio/9/a96/index.m3u8\"\n\
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"en\",LANGUAGE=\"en\",URI=\"../subtitles/9/en/index.m3u8\"\n\
#EXT-X-STREAM-INF:BANDWIDTH=190000,AUDIO=\"a32\",SUBTITLES=\"subs\"\n../video/9/v240/index.m3u8\n\
#EXT-X-STREAM-INF:BANDWIDTH=1100000,AUDIO=\"a96\",SUBTITLES=\"subs\"\n../video/9/v480/index.m3u8\n";

/// Writes a lesson of 16 s to storage.
pub async fn lesson(store: &Store, tenant: &str) -> Lesson {
    let mut lesson = lesson_of_an_earlier_build(store, tenant).await;
    let Lesson { id, manifest, .. } = &mut lesson;
    let prefix = layout::recording_prefix(tenant, id);
    let mut objects: BTreeMap<String, InventoryObject> = BTreeMap::new();
    let mut shared: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (key, facts) in std::mem::take(&mut manifest.objects) {
        if layout::fence_of(&key).is_none() {
            manifest.objects.insert(key, facts);
            continue;
        }
        let (folder, name) = key.rsplit_once('/').unwrap();
        let Some((number, extension)) = inventory::numbered(name) else {
            objects.insert(key, InventoryObject { facts, parts: Vec::new() });
            continue;
        };
        // Three segments share an object.
        let file = format!("{folder}/segments-{:03}.{extension}", (number - 1) / 3 + 1);
        shared.entry(file.clone()).or_default().extend(content(id, &key));
        let part = InventoryPart { name: name.to_owned(), facts: facts.clone() };
        let object = objects.entry(file).or_insert(InventoryObject { facts, parts: Vec::new() });
        object.parts.push(part);
        store.delete(&format!("{prefix}{key}")).await.unwrap();
    }
    for (file, bytes) in shared {
        objects.get_mut(&file).unwrap().facts = ObjectFacts::from_bytes(&bytes);
        store.put(&format!("{prefix}{file}"), Bytes::from(bytes)).await.unwrap();
    }
    let written = inventory::write(store, tenant, id, &Inventory::new(9, "ladder", objects)).await.unwrap();
    manifest.inventories.insert(9, written);
    write_manifest(store, manifest).await.unwrap();
    lesson
}

/// Writes a lesson whose manifest has every object, as earlier builds did.
pub async fn lesson_of_an_earlier_build(store: &Store, tenant: &str) -> Lesson {
    let id = layout::new_recording_id();
    let mut manifest = Manifest::new(tenant, &id);
    manifest.fence = 9;
    manifest.state = State::Ready;
    manifest.title = "Fractions".into();
    manifest.media =
        Some(MediaFacts { duration_ms: 16_000, width: 854, height: 480, has_video: true, has_audio: true });
    manifest.revision = Some(Revision { id: 2, master: layout::master_relative(2), is_live: false });

    let mut put = Vec::new();
    for revision in [1, 2] {
        put.push((layout::master_relative(revision), MASTER.as_bytes().to_vec()));
    }
    for track in ["video/9/v240", "video/9/v480", "audio/9/a32", "audio/9/a96", "subtitles/9/en"] {
        let extension = if track.starts_with("subtitles") { "vtt" } else { "m4s" };
        put.push((format!("hls/{track}/index.m3u8"), media_playlist(5, extension).into_bytes()));
        let names = (1..=5).map(|n| format!("{n:05}.{extension}"));
        for name in names.chain((extension == "m4s").then(|| "init.mp4".to_owned())) {
            let key = format!("hls/{track}/{name}");
            put.push((key.clone(), content(&id, &key)));
        }
    }
    // In the manifest, but not named by any playlist.
    for key in [
        "source/original.mp4",
        "hls/video/9/v240/secret.m4s",
        "transcript/9/transcript.json",
        "stills/9/poster.jpg",
    ] {
        put.push((key.into(), content(&id, key)));
    }
    for (logical, key) in
        [("transcript.json", "transcript/9/transcript.json"), ("poster", "stills/9/poster.jpg")]
    {
        manifest.files.insert(logical.into(), key.into());
    }
    for (key, body) in put {
        let facts = ObjectFacts::from_bytes(&body);
        store.put(&layout::object_key(tenant, &id, &key), Bytes::from(body)).await.unwrap();
        manifest.objects.insert(key, facts);
    }
    let source = &manifest.objects["source/original.mp4"];
    manifest.source = Some(SourceFacts {
        key: "source/original.mp4".into(),
        filename: "a.mp4".into(),
        size_bytes: source.size_bytes,
        sha256: Some(source.sha256.clone()),
    });
    write_manifest(store, &manifest).await.unwrap();
    let resources = manifest.objects.clone();
    Lesson { id, manifest, resources }
}
