//! The audit log: complete, and telling when it was tampered with.

use crate::bench::Bench;
use crate::populate::{ACTIONS, populate};
use pelton_metadata::{AuditFilter, Page};
use serde_json::json;

pub async fn every_change_is_told_once(bench: Bench) {
    populate(&bench).await;
    let Bench { store, ctx, .. } = &bench;
    let everything = AuditFilter::default();
    let listed = store.audit_list(ctx, &everything, &Page::first(100)).await.unwrap();
    let mut actions: Vec<String> = listed.items.iter().map(|entry| entry.action.clone()).collect();
    actions.reverse();
    assert_eq!(actions[0], "project.create");
    assert_eq!(actions[1..], ACTIONS);
    for entry in &listed.items[..ACTIONS.len()] {
        assert_eq!(
            (entry.actor.as_str(), &entry.request_id),
            ("key:ada", &ctx.request.to_string())
        );
        // The key's secret, which begins so, is nowhere.
        assert!(!entry.detail.to_string().contains("pk_BwcHBwcHBwc"), "{entry:?}");
    }
    let checked = store.audit_verify(ctx).await.unwrap();
    assert_eq!((checked.entries, checked.broken), (ACTIONS.len() as i64 + 1, None));
    // What fails, and what changes nothing, leaves no entry.
    assert!(store.setting_remove(ctx, "theme").await.is_err());
    assert!(store.model_get(ctx, "absent").await.is_err());
    assert_eq!(store.audit_verify(ctx).await.unwrap().entries, checked.entries);
    // The list comes in pages and by object.
    let page = store.audit_list(ctx, &everything, &Page::first(6)).await.unwrap();
    let next = Page { limit: 6, cursor: page.next_cursor };
    let next = store.audit_list(ctx, &everything, &next).await.unwrap();
    assert_eq!(next.items, listed.items[6..12]);
    let keys = AuditFilter { object_kind: Some("key".into()), ..AuditFilter::default() };
    let keys = store.audit_list(ctx, &keys, &Page::first(9)).await.unwrap().items;
    let told: Vec<_> = keys.iter().map(|entry| (&*entry.action, &entry.detail)).collect();
    let created = json!({ "name": "ci", "scopes": ["read"], "prefix": "pk_BwcHBwcH" });
    assert_eq!(told, [("key.revoke", &json!({ "name": "ci" })), ("key.create", &created)]);
}

pub async fn the_chain_shows_tampering(bench: Bench) {
    populate(&bench).await;
    let verdict = async || {
        let checked = bench.store.audit_verify(&bench.ctx).await.unwrap();
        checked.broken.map(|(seq, why)| format!("{seq}: {why}")).unwrap_or_default()
    };
    assert_eq!(verdict().await, "");
    bench
        .meddle("UPDATE audit_entries SET actor = 'key:eve' WHERE seq = 4 AND actor = 'key:ada'")
        .await;
    assert_eq!(verdict().await, "4: the entry was altered");
    bench
        .meddle("UPDATE audit_entries SET actor = 'key:ada' WHERE seq = 4 AND actor = 'key:eve'")
        .await;
    assert_eq!(verdict().await, "");
    bench.meddle("DELETE FROM audit_entries WHERE seq = 20 AND actor = 'key:ada'").await;
    assert_eq!(verdict().await, "20: the newest entries are missing");
    bench.meddle("DELETE FROM audit_entries WHERE seq = 3 AND actor = 'key:ada'").await;
    assert_eq!(verdict().await, "3: an entry is missing");
    bench
        .meddle("UPDATE audit_entries SET prev_hash = 'x' WHERE seq = 2 AND actor = 'key:ada'")
        .await;
    assert_eq!(verdict().await, "2: the entry does not follow the one before");
    // The other project's chain is its own.
    assert_eq!(bench.store.audit_verify(&bench.other).await.unwrap().broken, None);
}
