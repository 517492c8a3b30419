//! What Pelton keeps for itself: leases, the part catalog, the configuration's generation.

use crate::bench::{Bench, all_to, base_model, change, kind_of};
use pelton_ids::Micros;
use pelton_metadata::NewTracePart;
use serde_json::json;

pub async fn leases_have_one_holder(bench: Bench) {
    let Bench { store, system, .. } = &bench;
    let acquire =
        async |holder: &str| store.lease_acquire(system, "collect", holder, 1_000).await.unwrap();
    let first = acquire("a").await.unwrap();
    assert_eq!(first.epoch, 1);
    assert_eq!(acquire("b").await, None);
    bench.clock.advance(999);
    let renewed = acquire("a").await.unwrap();
    assert_eq!(renewed.epoch, 1);
    store.lease_check(system, &renewed).await.unwrap();
    bench.clock.advance(1_000);
    assert_eq!(kind_of(store.lease_check(system, &renewed).await), "Fenced");
    let second = acquire("b").await.unwrap();
    assert_eq!(second.epoch, 2);
    assert_eq!(kind_of(store.lease_check(system, &renewed).await), "Fenced");
    // The first holder cannot give up what it lost.
    store.lease_release(system, &renewed).await.unwrap();
    store.lease_check(system, &second).await.unwrap();
    store.lease_release(system, &second).await.unwrap();
    // Its own lapse counts as a change of holder too.
    assert_eq!(acquire("b").await.unwrap().epoch, 3);
}

fn part(name: &str, at: i64) -> NewTracePart {
    NewTracePart {
        part_id: name.into(),
        project: None,
        path_narrow: format!("{name}/narrow.parquet"),
        path_payload: None,
        rows: 10,
        bytes: 1_000,
        min_at: Micros(at),
        max_at: Micros(at + 9),
        detail: json!({ "bloom": true }),
    }
}

pub async fn trace_parts_appear_once(bench: Bench) {
    let Bench { store, system, .. } = &bench;
    assert!(!store.trace_segment_is_sealed(system, "s1").await.unwrap());
    let parts = [part("b", 20), part("a", 10)];
    store.trace_parts_commit(system, "s1", &parts).await.unwrap();
    // Sealing again after a crash changes nothing, whatever it found.
    store.trace_parts_commit(system, "s1", &[part("c", 30)]).await.unwrap();
    let listed = store.trace_parts_list(system).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|it| it.part_id.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((listed[0].segment.as_str(), &listed[0].detail), ("s1", &json!({ "bloom": true })));
    assert!(store.trace_segment_is_sealed(system, "s1").await.unwrap());
    // A part that exists spoils the whole commit.
    let spoiled = [part("d", 40), part("a", 10)];
    assert_eq!(kind_of(store.trace_parts_commit(system, "s2", &spoiled).await), "Conflict");
    assert_eq!(store.trace_parts_list(system).await.unwrap().len(), 2);
    assert!(!store.trace_segment_is_sealed(system, "s2").await.unwrap());
    store.trace_parts_commit(system, "s3", &[]).await.unwrap();
    assert_eq!(store.trace_segments_sealed(system).await.unwrap(), ["s1", "s3"]);
    assert_eq!(store.trace_parts_remove(system, &["a".into(), "z".into()]).await.unwrap(), 1);
    assert_eq!(store.trace_parts_remove(system, &[]).await.unwrap(), 0);
    assert_eq!(store.trace_parts_list(system).await.unwrap().len(), 1);
    // What was removed does not come back with a repeated commit.
    store.trace_parts_commit(system, "s1", &parts).await.unwrap();
    assert_eq!(store.trace_parts_list(system).await.unwrap().len(), 1);
}

pub async fn configuration_generations_grow(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let mut changes = store.config_changes();
    changes.mark_unchanged();
    let other = bench.reopened().await.unwrap();
    let mut last = store.config_generation().await.unwrap();
    let mut grown = async || {
        let now = other.config_generation().await.unwrap();
        let grew = now > last;
        last = now;
        grew
    };
    store.model_create(ctx, base_model("m")).await.unwrap();
    assert!(grown().await);
    let release = bench.release("r").await;
    assert!(grown().await);
    store.endpoint_put(ctx, "desk", change(all_to(&release))).await.unwrap();
    assert!(grown().await);
    // What no gateway needs to see does not wake it.
    store.setting_put(ctx, "theme", &json!(1)).await.unwrap();
    assert!(!grown().await);
    assert!(changes.has_changed().unwrap());
    assert_eq!(*changes.borrow_and_update(), last);
    // What failed changed nothing.
    let mut broken = change(all_to(&release));
    broken.traffic[0].weight = 5;
    assert!(store.endpoint_put(ctx, "desk", broken).await.is_err());
    assert!(!changes.has_changed().unwrap());
    other.close().await;
}
