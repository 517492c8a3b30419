//! Tokenizer and chat template of a model folder. Cannot reach the network or async.
