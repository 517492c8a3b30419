//! Runs the typed query tree over hot and sealed traces with DataFusion. The only crate that names DataFusion.
