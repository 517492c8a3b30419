//! The parametric decoder: configuration, weights, adapters, layers. Cannot reach HTTP or async.
