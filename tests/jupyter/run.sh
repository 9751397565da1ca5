#!/usr/bin/env bash
# Runs every notebook (or those named) under the stock evcxr kernel, as Jupyter does.
# It makes what it needs below target/: a virtual environment and evcxr's kernel.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/jupyter/venv.sh
# In the profile that `cargo book` builds its own kernel in, so that evcxr is compiled once for both.
cargo build --locked --profile book --package stock-kernel
export JUPYTER_DATA_DIR="$home/data" JUPYTER_PATH="$home/data"
mkdir -p "$home/data"
"$target/book/evcxr_jupyter" --install >/dev/null

# One folder for all notebooks: candle is built once, not once a notebook.
export EVCXR_TMPDIR="$home/context"
mkdir -p "$EVCXR_TMPDIR"
# As .cargo/config.toml sets it for everything that cargo starts, and for the same reason.
export CANDLE_NUM_THREADS=1
exec "$home/venv/bin/python" tests/jupyter/run_notebooks.py "$@"
