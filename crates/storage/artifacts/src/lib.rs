//! Content-addressed blobs and manifests on object_store. Cannot reach a database: references come in through a trait.
