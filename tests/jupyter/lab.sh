#!/usr/bin/env bash
# JupyterLab in a real browser, under the project's own kernel: runs a notebook, completes a name, interrupts a loop.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/jupyter/venv.sh
cargo book kernel install --prefix "$home/own"
export JUPYTER_PATH="$home/own/share/jupyter"
# The reader's own settings and workspaces stay as they are.
export JUPYTER_CONFIG_DIR="$home/lab/config" JUPYTERLAB_SETTINGS_DIR="$home/lab/settings"
export JUPYTERLAB_WORKSPACES_DIR="$home/lab/workspaces" JUPYTER_RUNTIME_DIR="$home/lab/runtime"
rm -rf "$home/lab"
mkdir -p "$home/lab/root"
export LAB="$home/venv/bin/jupyter" LAB_ROOT="$home/lab/root"
cd tests/browser
exec node --test --test-reporter=spec ../jupyter/lab.test.mjs
