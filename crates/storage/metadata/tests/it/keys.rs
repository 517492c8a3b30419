//! API keys.

use crate::bench::{Bench, START, kind_of};
use pelton_context::Scope;
use pelton_secrets::api_key_from_random;

pub async fn a_key_from_creation_to_revocation(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    let scopes = [Scope::Inference, Scope::Read];
    let made = store.api_key_create(ctx, "ci", &scopes, [7; 32]).await.unwrap();
    let secret = made.secret.expose().as_str();
    assert!(secret.starts_with(&made.key.prefix) && secret.len() > made.key.prefix.len() + 30);
    let found = store.api_key_authenticate(secret).await.unwrap().unwrap();
    assert_eq!((found.project, found.key), (ctx.project, made.key.id));
    assert_eq!(
        (found.principal.name.as_str(), found.principal.scopes.as_slice()),
        ("key:ci", &scopes[..])
    );
    let used = async || store.api_key_list(ctx).await.unwrap()[0].last_used_at;
    assert_eq!(used().await, Some(START));
    // The second lookup comes from memory, and its use is written a minute later.
    bench.clock.advance(30_000_000);
    store.api_key_authenticate(secret).await.unwrap().unwrap();
    assert_eq!(used().await, Some(START));
    bench.clock.advance(30_000_000);
    store.api_key_authenticate(secret).await.unwrap().unwrap();
    assert_eq!(used().await, Some(START.plus(60_000_000)));
    let revoked = store.api_key_revoke(ctx, made.key.id).await.unwrap();
    assert_eq!(store.api_key_authenticate(secret).await.unwrap(), None);
    bench.clock.advance(1);
    let again = store.api_key_revoke(ctx, made.key.id).await.unwrap();
    assert_eq!(again.revoked_at, revoked.revoked_at);
    // The name is free again; the secret stays dead.
    store.api_key_create(ctx, "ci", &scopes, [8; 32]).await.unwrap();
    assert_eq!(store.api_key_authenticate(secret).await.unwrap(), None);
    assert_eq!(store.api_key_list(ctx).await.unwrap().len(), 2);
}

pub async fn keys_are_checked(bench: Bench) {
    let Bench { store, ctx, .. } = &bench;
    store.api_key_create(ctx, "ci", &[Scope::Read], [7; 32]).await.unwrap();
    // Another secret with the same visible beginning.
    let mut near = [7; 32];
    near[31] = 8;
    for wrong in [api_key_from_random(near).expose().as_str(), "", "pk_", "pk_BwcHBwcH"] {
        assert_eq!(store.api_key_authenticate(wrong).await.unwrap(), None, "{wrong}");
    }
    let taken = store.api_key_create(ctx, "ci", &[Scope::Read], [9; 32]).await;
    assert_eq!(kind_of(taken), "Conflict");
    assert_eq!(kind_of(store.api_key_create(ctx, "none", &[], [9; 32]).await), "Invalid");
    assert_eq!(kind_of(store.api_key_create(ctx, "", &[Scope::Read], [9; 32]).await), "Invalid");
    // A key revoked through another connection stops here when the generation is next read.
    let other = bench.reopened().await.unwrap();
    let made = store.api_key_create(ctx, "app", &[Scope::Read], [1; 32]).await.unwrap();
    assert!(store.api_key_authenticate(made.secret.expose()).await.unwrap().is_some());
    other.api_key_revoke(ctx, made.key.id).await.unwrap();
    store.config_generation().await.unwrap();
    assert_eq!(store.api_key_authenticate(made.secret.expose()).await.unwrap(), None);
    other.close().await;
}
