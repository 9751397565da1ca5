#!/usr/bin/env bash
# Installs the project's own Jupyter kernel below target/, lets Jupyter's test of a kernel loose on it, and runs
# every notebook (or those named) under it.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/jupyter/venv.sh
cargo book kernel install --prefix "$home/own"
export JUPYTER_PATH="$home/own/share/jupyter" JUPYTER_KERNEL=candlelight
# Not an hour, as for a reader.
export CANDLELIGHT_KERNEL_LINGERS=10
"$home/venv/bin/python" tests/jupyter/kernel_test.py
exec "$home/venv/bin/python" tests/jupyter/run_notebooks.py "$@"
