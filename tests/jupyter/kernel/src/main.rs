//! evcxr's Jupyter kernel, as `cargo install evcxr_jupyter` gives it.

fn main() -> anyhow::Result<()> {
    evcxr_jupyter::main()
}
