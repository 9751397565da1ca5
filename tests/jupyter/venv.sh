# Sourced from the project's root: makes target/jupyter/venv, and sets `target` and `home`.
target="$(cd "${CARGO_TARGET_DIR:-target}" 2>/dev/null && pwd || { mkdir -p target && cd target && pwd; })"
home="$target/jupyter"

if [ ! -x "$home/venv/bin/jupyter" ] || ! cmp -s tests/jupyter/requirements.txt "$home/requirements.txt"; then
  python3 -m venv "$home/venv"
  "$home/venv/bin/pip" install --quiet -r tests/jupyter/requirements.txt
  cp tests/jupyter/requirements.txt "$home/requirements.txt"
fi
