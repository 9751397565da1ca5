use std::io::Write;

use candlelight::train::Checkpoint;

/// Tells the book's kernel of each checkpoint, so that it can name it where a cell's process is lost. The kernel
/// looks for it by this name in what a cell brings with it.
#[expect(unsafe_code, reason = "the name is this library's own")]
#[unsafe(no_mangle)]
extern "C" fn candlelight_cells_begin() {
    Checkpoint::set_hook(|path, epoch| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let line = format!("\x1echeckpoint\x1f{epoch}\x1f{}\x1e\n", path.display());
        // A cell may have closed it.
        let _ = std::io::stderr().write_all(line.as_bytes());
    });
}
