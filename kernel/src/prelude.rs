// Compiled into every cell, before the cell's own items. It is not a module of the kernel.

/// The runtime calls it before the cell.
#[unsafe(no_mangle)]
pub extern "C" fn candlelight_cell_begin() {
    let cell = ::std::thread::current().id();
    ::std::panic::set_hook(::std::boxed::Box::new(move |panic| {
        let main = if ::std::thread::current().id() == cell { "main" } else { "other" };
        let place = panic.location().map(|place| place.to_string()).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("a value that is no text");
        candlelight_cell_mark(&::std::format!("panic\x1f{main}\x1f{place}\x1f{message}"));
    }));
}

/// The runtime calls it after the cell: text without a newline at its end still waits in this buffer.
#[unsafe(no_mangle)]
pub extern "C" fn candlelight_cell_end() {
    let _ = ::std::io::Write::flush(&mut ::std::io::stdout());
}

fn candlelight_cell_mark(text: &str) {
    let line = ::std::format!("\x1e{text}\x1e\n");
    let _ = ::std::io::Write::write_all(&mut ::std::io::stderr(), line.as_bytes());
}

// evcxr's code around a `?` prints the error by `eprintln!("{}", error)`: marked, the kernel can tell it
// from the cell's own text. Where no `?` ended the cell, the kernel shows it as that text.
macro_rules! eprintln {
    ("{}", $error:ident) => {
        candlelight_cell_mark(&::std::format!("error\x1f{}", &$error))
    };
    ($($arguments:tt)*) => {
        ::std::eprintln!($($arguments)*)
    };
}
