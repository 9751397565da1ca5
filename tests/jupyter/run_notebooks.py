"""Run every notebook under the stock evcxr kernel, or the one that JUPYTER_KERNEL names, and compare what it prints with what is stored.

Usage: run_notebooks.py [NOTEBOOK ...]    (default: all of notebooks/; `.ipynb` may be left out)

A notebook passes when it is valid nbformat 4.5, no cell fails, and each cell's text and kinds of
output are those that the notebook stores: the book, the page and Jupyter then agree. Times, speeds and
ratios of times, which a unit tells, are not compared: no two runs have the same. On a processor
with other vectors than the one that the outputs come from, sums are rounded differently, and what is
trained goes its own way: there everything but the numbers is compared.
"""

import multiprocessing
import os
import platform
import re
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbclient
import nbformat
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).resolve().parents[2]
KERNEL = os.environ.get("JUPYTER_KERNEL", "rust")
# The first cell builds candle, which takes minutes.
TIMEOUT = 1500
# Notebooks at a time: a kernel mostly has one thread at work.
WORKERS = 2
CUT_SHORT = "the end of a cell's text is missing"
# A number, one space and its unit; a narrow one has more white space before it.
MEASURED = re.compile(r"\s*\b\d+(\.\d+)? (ns|µs|ms|s|GFLOP/s|GB/s|times)\b")


def run(notebook):
    client = nbclient.NotebookClient(
        notebook, timeout=TIMEOUT, kernel_name=KERNEL, resources={"metadata": {"path": ROOT / "notebooks"}}
    )
    client.execute()
    return notebook


def text_of(cell):
    """What a cell printed: its streams by name, with rewritten lines (`\\r`) in their last state."""
    streams = {}
    for output in cell.outputs:
        if output.output_type == "stream":
            streams[output.name] = streams.get(output.name, "") + output.text
    return {name: last_state(text) for name, text in streams.items()}


def last_state(text):
    """The lines, of those that begin with `\r` and follow each other only the last."""
    lines = []
    # Not splitlines, to which `\r` is the end of a line.
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("\r") and lines and lines[-1].startswith("\r"):
            lines.pop()
        lines.append(line)
    return [line.strip("\r") for line in lines]


def kinds_of(cell):
    """The MIME types of a cell's pictures and values."""
    return sorted(mime for output in cell.outputs for mime in output.get("data", {}))


def values_of(cell):
    """The last expression's value as text. evcxr's kernel calls a picture a result, too."""
    return [output.data["text/plain"] for output in cell.outputs if "text/plain" in output.get("data", {})]


def vectors():
    """The kernels' vectors on this machine, as `bookbinder/src/notebook.rs` names them."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "none"
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[1].split()
    except OSError:
        return "unknown"
    return "avx512f" if "avx512f" in flags else "avx2" if {"avx2", "fma"} <= set(flags) else "none"


def without_times(output):
    """The output as text, with `#` for a time, a speed or a ratio of times, its unit, and the room before it."""
    return MEASURED.sub("#", repr(output))


def without_numbers(text):
    """The text with `#` for each number, whatever room it takes."""
    return re.sub(r"\s+", " ", re.sub(r"[-−]?\d+(\.\d+)?(e[-+]?\d+)?", "#", text))


def differences(stored, live):
    same_digits = stored.metadata.get("bookbinder", {}).get("vectors") == vectors()
    seen = without_times if same_digits else lambda output: without_numbers(without_times(output))
    for number, (old, new) in enumerate(zip(stored.cells, live.cells, strict=True), start=1):
        if old.cell_type != "code":
            continue
        for what, of in (("text", text_of), ("kinds of output", kinds_of), ("values", values_of)):
            if seen(of(old)) != seen(of(new)):
                yield f"cell {number}: {what}: stored {of(old)!r}, now {of(new)!r}"


def check_gradients():
    """Variables made in different cells must be different to candle: with a copy of candle in each
    cell, their numbers collide and both gradients come out as 5."""
    sources = [
        ':dep candlelight = { package = "candlelight-cells", path = "../cells" }',
        "use candlelight::prelude::*;",
        "let v1 = Var::new(2f32, &Device::Cpu)?;",
        "let v2 = Var::new(3f32, &Device::Cpu)?;",
        "let gradients = (v1.as_tensor() * v2.as_tensor())?.backward()?;\n"
        "let of = [&v1, &v2].map(|v| gradients.get(v).unwrap().to_scalar::<f32>().unwrap());\n"
        'println!("{} {}", of[0], of[1]);',
    ]
    printed = text_of(run(new_notebook(cells=[new_code_cell(source) for source in sources])).cells[-1])
    if printed.get("stdout") != ["3 2"]:
        raise AssertionError(f"gradients across cells: expected 3 2, printed {printed!r}")


def cut_short(stored, live):
    """Whether nothing differs but that some text lacks its end. Stock evcxr sends a cell's last lines on another
    thread than that the cell is done, and what comes later belongs to no cell."""
    for old, new in zip(stored.cells, live.cells, strict=True):
        if old.cell_type == "code":
            if (kinds_of(old), values_of(old)) != (kinds_of(new), values_of(new)):
                return False
            for name, lines in text_of(new).items():
                of_old = text_of(old).get(name, [])
                if without_times(of_old[: len(lines)]) != without_times(lines):
                    return False
    return KERNEL == "rust"


def check(path):
    """What differs from the stored outputs, a line each, and how long it took."""
    start = time.monotonic()
    stored = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(stored)
    problems = differences_now(path, stored)
    if problems == [CUT_SHORT]:
        print(f"{path.name}: {CUT_SHORT}; once more", flush=True)
        problems = differences_now(path, stored)
    return path, problems, time.monotonic() - start


def differences_now(path, stored):
    live = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    try:
        run(live)
    except nbclient.exceptions.CellExecutionError as error:
        return [str(error)]
    problems = list(differences(stored, live))
    return [CUT_SHORT] if problems and cut_short(stored, live) else problems


def take(folders):
    """Gives a worker a folder of its own for stock evcxr, which can be used by one kernel at a time."""
    if folders is not None:
        os.environ["EVCXR_TMPDIR"] = folders.get()


def folders_of(built, count):
    """Copies of the folder in which evcxr has built candle."""
    folders = multiprocessing.Queue()
    folders.put(built)
    for number in range(1, count):
        copy = f"{built}-{number}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(built, copy, symlinks=True)
        folders.put(copy)
    return folders


def main(names):
    failed = 0
    start = time.monotonic()
    check_gradients()
    print(f"gradients across cells: right, {time.monotonic() - start:.0f} s", flush=True)
    paths = [Path(name).with_suffix(".ipynb") for name in names] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    if not paths:
        sys.exit("no notebooks: run `cargo book weave`")
    workers = min(WORKERS, len(paths))
    built = os.environ.get("EVCXR_TMPDIR")
    folders = folders_of(built, workers) if built else None
    with ProcessPoolExecutor(workers, initializer=take, initargs=(folders,)) as pool:
        for path, problems, seconds in pool.map(check, paths):
            print(f"{path.name}: {'failed' if problems else 'as stored'}, {seconds:.0f} s", flush=True)
            for problem in problems:
                print(f"  {problem}")
            failed += bool(problems)
    print(f"{len(paths) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(sys.argv[1:])
