//! Models, datasets, evaluations, releases, settings and references.

use crate::bench::{Bench, base_model, kind_of};
use crate::populate::{dataset_version, evaluation, gate};
use pelton_ids::{Digest, JobId};
use pelton_metadata::{
    ArtifactOwner, Bundle, ModelKind, NewDatasetVersion, NewEvaluation, NewModel, NewRelease, Page,
    Upstream,
};
use serde_json::json;

pub async fn models_and_datasets_have_versions(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let first = store.model_create(ctx, base_model("pelton/tiny")).await.unwrap();
    assert_eq!((first.reference.as_str(), first.size_bytes), ("pelton/tiny@1", 7));
    let adapter = |base: Option<&str>| NewModel {
        kind: ModelKind::Adapter,
        base: base.map(str::to_owned),
        ..base_model("desk")
    };
    assert_eq!(kind_of(store.model_create(ctx, adapter(None)).await), "Invalid");
    assert_eq!(kind_of(store.model_create(ctx, adapter(Some("pelton/tiny"))).await), "Invalid");
    assert_eq!(kind_of(store.model_create(ctx, adapter(Some("pelton/tiny@2"))).await), "NotFound");
    assert_eq!(kind_of(store.model_create(ctx, adapter(Some("pelton/tiny@x"))).await), "NotFound");
    store.model_create(ctx, adapter(Some("pelton/tiny@1"))).await.unwrap();
    let second = store.model_create(ctx, adapter(Some("pelton/tiny@1"))).await.unwrap();
    assert_eq!(store.model_get(ctx, "desk").await.unwrap(), second);
    assert_eq!(store.model_get(ctx, "desk@1").await.unwrap().version, 1);
    assert_eq!(store.model_get(ctx, "pelton/tiny@1").await.unwrap(), first);
    for absent in ["desk@3", "desk@", "desk@-1", "none"] {
        assert_eq!(kind_of(store.model_get(ctx, absent).await), "NotFound", "{absent}");
    }
    let adapters = store.model_list(ctx, Some(ModelKind::Adapter), &Page::first(9)).await.unwrap();
    assert_eq!(adapters.items.len(), 2);

    store.dataset_version_create(ctx, "telco", dataset_version()).await.unwrap();
    let latest = store.dataset_version_create(ctx, "telco", dataset_version()).await.unwrap();
    assert_eq!((latest.name.as_str(), latest.rows.train), ("telco@2", 8));
    let dataset = store.dataset_get(ctx, "telco").await.unwrap();
    assert_eq!((dataset.versions, dataset.latest.as_ref()), (2, Some(&latest)));
    assert_eq!(store.dataset_list(ctx, &Page::default()).await.unwrap().items, [dataset]);
    assert_eq!(store.dataset_version_get(ctx, "telco").await.unwrap(), latest);
    assert_eq!(store.dataset_version_get(ctx, "telco@1").await.unwrap().version, 1);
    assert_eq!(store.dataset_version_get_by_id(ctx, latest.id).await.unwrap(), latest);
    assert_eq!(store.dataset_version_list(ctx, "telco").await.unwrap().len(), 2);
    assert_eq!(kind_of(store.dataset_version_get(ctx, "telco@3").await), "NotFound");

    let made = store.evaluation_create(ctx, evaluation()).await.unwrap();
    assert_eq!(store.evaluation_get(ctx, made.id).await.unwrap(), made);
    let made = store.gate_create(ctx, gate(true)).await.unwrap();
    assert_eq!(store.gate_get(ctx, made.id).await.unwrap(), made);
    assert_eq!(store.gate_list(ctx, &Page::default()).await.unwrap().items, [made]);
}

/// A job that was tried again after it had registered its result does not register it twice.
pub async fn a_job_makes_one_of_each(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let job_id = Some(JobId::from_u128(5));
    let model = NewModel { job_id, ..base_model("m") };
    let first = store.model_create(ctx, model.clone()).await.unwrap();
    assert_eq!(store.model_create(ctx, model).await.unwrap(), first);
    let version = NewDatasetVersion { job_id, ..dataset_version() };
    let first = store.dataset_version_create(ctx, "d", version.clone()).await.unwrap();
    assert_eq!(store.dataset_version_create(ctx, "d", version).await.unwrap(), first);
    let measured = NewEvaluation { job_id, ..evaluation() };
    let first = store.evaluation_create(ctx, measured.clone()).await.unwrap();
    assert_eq!(store.evaluation_create(ctx, measured).await.unwrap(), first);
    assert_eq!(store.audit_verify(ctx).await.unwrap().entries, 4);
}

pub async fn releases_are_immutable(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    store.model_create(ctx, base_model("m")).await.unwrap();
    let upstream = || Some(Upstream { provider: "p".into(), model: "x".into() });
    let model = |reference: &str| Some(reference.to_owned());
    let create = async |name: &str, bundle: Bundle| {
        store.release_create(ctx, NewRelease { name: name.into(), bundle, gate: None }).await
    };
    let served = Bundle { model: model("m@1"), ..Bundle::default() };
    let made = create("r", served.clone()).await.unwrap();
    assert_eq!(made.digest, served.digest().unwrap());
    assert_eq!(store.release_get(ctx, made.id).await.unwrap(), made);
    assert_eq!(store.release_get_by_name(ctx, "r").await.unwrap(), made);
    assert_eq!(kind_of(create("r", served.clone()).await), "Conflict");
    let nothing = Bundle::default();
    let both = Bundle { upstream: upstream(), ..served.clone() };
    let adapter_over_upstream = Bundle { model: None, adapter: model("m@1"), ..both.clone() };
    let unversioned = Bundle { model: model("m"), ..Bundle::default() };
    for unfit in [nothing, both, adapter_over_upstream, unversioned] {
        assert_eq!(kind_of(create("s", unfit).await), "Invalid");
    }
    let absent = Bundle { adapter: model("a@1"), ..served };
    assert_eq!(kind_of(create("s", absent).await), "NotFound");
    assert_eq!(store.release_list(ctx, &Page::default()).await.unwrap().items, [made]);
}

pub async fn lists_come_in_pages(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let mut names = vec![];
    for number in 0..7 {
        // Several at one instant.
        bench.clock.advance(number % 2);
        names.push(bench.release(&format!("r{number}")).await.name);
    }
    names.reverse();
    let (mut seen, mut page, mut pages) = (vec![], Page::first(3), 0);
    loop {
        let listed = store.release_list(ctx, &page).await.unwrap();
        seen.extend(listed.items.into_iter().map(|release| release.name));
        pages += 1;
        // What arrives meanwhile does not move the pages that follow.
        bench.clock.advance(1);
        bench.release(&format!("late{pages}")).await;
        match listed.next_cursor {
            Some(cursor) => page = Page { limit: 3, cursor: Some(cursor) },
            None => break,
        }
    }
    assert_eq!((seen, pages), (names, 3));
    let exact = store.release_list(ctx, &Page::first(10)).await.unwrap();
    assert_eq!((exact.items.len(), exact.next_cursor), (10, None));
    let bad = Page { limit: 3, cursor: Some("nonsense".into()) };
    assert_eq!(kind_of(store.release_list(ctx, &bad).await), "BadCursor");
    let zero = store.release_list(ctx, &Page::first(0)).await.unwrap();
    assert_eq!(zero.items.len(), 1);
}

pub async fn settings_and_references(bench: Bench) {
    let Bench { store, ctx, system, .. } = &bench;
    assert_eq!(store.setting_get(ctx, "theme").await.unwrap(), None);
    for content in [json!("dark"), json!({ "a": [1, null] })] {
        store.setting_put(ctx, "theme", &content).await.unwrap();
        assert_eq!(store.setting_get(ctx, "theme").await.unwrap(), Some(content));
    }
    store.setting_remove(ctx, "theme").await.unwrap();
    assert_eq!(store.setting_get(ctx, "theme").await.unwrap(), None);
    assert_eq!(kind_of(store.setting_remove(ctx, "theme").await), "NotFound");

    let digests = |texts: &[&str]| texts.iter().map(|it| Digest::of(it.as_bytes())).collect();
    store.model_create(ctx, base_model("m")).await.unwrap();
    store.dataset_version_create(ctx, "d", dataset_version()).await.unwrap();
    store.evaluation_create(ctx, evaluation()).await.unwrap();
    let owner = ArtifactOwner { kind: "upload".into(), id: "u".into() };
    let upload: Vec<Digest> = digests(&["rows", "upload"]);
    store.artifact_ref_add(ctx, &owner, &upload).await.unwrap();
    store.artifact_ref_add(ctx, &owner, &upload).await.unwrap();
    let all: Vec<Digest> = digests(&["m", "weights", "dataset", "rows", "samples", "upload"]);
    let listed = store.artifact_ref_list_all(system).await.unwrap();
    assert_eq!(listed, all.into_iter().collect());
    assert_eq!(store.artifact_ref_remove(ctx, &owner).await.unwrap(), 2);
    assert!(!store.artifact_ref_exists(ctx, upload[1]).await.unwrap());
    // Another owner needs it still.
    assert!(store.artifact_ref_exists(ctx, upload[0]).await.unwrap());
}
