//! Pages of recordings while others write and delete.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use bytes::Bytes;
use chalkstream_store::{Manifest, State, Store, layout, listing, write_manifest};
use serde_json::json;

use super::Lists;
use super::scale_tests::Counted;
use crate::testing::{OTHER, TENANT, World};

/// Says that the lists have all recordings.
async fn set_built(store: &Store) {
    let built = json!({ "at_ms": crate::clock::now_ms() }).to_string();
    store.put(&layout::lists_built_key(TENANT), Bytes::from(built)).await.unwrap();
}

/// Recordings and fences of all pages.
async fn all_pages(lists: &Lists, state: Option<State>, limit: usize) -> Vec<(String, u64)> {
    let (mut seen, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = lists.page(TENANT, state, after.as_deref(), limit).await.unwrap();
        assert!(page.recordings.len() <= limit);
        seen.extend(page.recordings.iter().map(|summary| (summary.recording.clone(), summary.fence)));
        match page.next {
            Some(next) => after = Some(next),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn every_live_recording_is_on_one_page_while_others_change() {
    let world = World::new().await;
    let (mut live, mut ready, mut lost) = (Vec::new(), Vec::new(), HashSet::new());
    for at in 0..20 {
        let state = if at % 2 == 0 { State::Ready } else { State::Processing };
        let id = layout::new_recording_id();
        let manifest = Manifest { state, fence: 9, ..Manifest::new(TENANT, &id) };
        write_manifest(&world.store, &manifest).await.unwrap();
        let entry = layout::list_key(TENANT, state.as_str(), &id);
        match at % 5 {
            // A writer was cut off, so an older entry is left in another list.
            0 | 3 => {
                let old = Manifest { state: State::Queued, fence: 4, ..manifest.clone() };
                let body = serde_json::to_vec(&listing::summary(&old)).unwrap();
                world.store.put(&layout::list_key(TENANT, "queued", &id), Bytes::from(body)).await.unwrap();
            }
            // Deleted after the lists were read.
            1 | 2 => {
                lost.insert(entry);
                world.store.delete(&layout::manifest_key(TENANT, &id, 9)).await.unwrap();
                continue;
            }
            // Moved to another list after that one was read.
            _ if state == State::Processing => drop(lost.insert(entry)),
            _ => {}
        }
        live.insert(0, (id.clone(), 9));
        if state == State::Ready {
            ready.insert(0, (id, 9));
        }
    }
    set_built(&world.store).await;
    let lists = Lists::new(Counted::without(world.store.clone(), lost));
    for limit in [1, 2, 3, 7, 20, 200] {
        assert_eq!(all_pages(&lists, None, limit).await, live, "{limit} a page");
        assert_eq!(all_pages(&lists, Some(State::Ready), limit).await, ready, "ready ones, {limit} a page");
    }
}

#[tokio::test]
async fn copies_of_a_list_are_made_once_at_a_time() {
    let world = World::new().await;
    let lists = Lists::new(world.store.clone());
    let first = lists.refresh_copies(TENANT, State::Ready).unwrap();
    assert!(lists.refresh_copies(TENANT, State::Ready).is_none());
    let others = [(TENANT, State::Failed), (OTHER, State::Ready)];
    assert!(others.into_iter().all(|(tenant, state)| lists.refresh_copies(tenant, state).is_some()));
    first.await.unwrap();
    assert!(lists.refresh_copies(TENANT, State::Ready).is_some());
}
