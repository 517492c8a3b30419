//! Forward and backward operators over tensors on the CPU. Cannot reach files, threads of its own, or async.
