//! One evcxr context in a process of its own.

fn main() {
    evcxr::runtime_hook();
}
