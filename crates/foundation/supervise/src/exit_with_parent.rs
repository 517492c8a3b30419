//! The child's side: leave when the parent is gone.

use std::io::Read as _;

/// Ends this process with `code` as soon as its standard input ends, which is when the parent
/// process does. Call it once at the start of a supervised child.
pub fn exit_with_parent(code: i32) {
    let watch = move || {
        let mut ignored = [0_u8; 256];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut ignored) {
                Ok(0) => std::process::exit(code),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => std::process::exit(code),
            }
        }
    };
    let thread = std::thread::Builder::new().name("lifeline".into());
    if let Err(error) = thread.spawn(watch) {
        tracing::error!(%error, "cannot watch for the parent's end");
        std::process::exit(code);
    }
}
