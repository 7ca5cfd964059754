"""Memory that runs out: reported, with what takes less, and existing files stay intact."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mriseg.backends.machine import ran_out
from mriseg.io.runs import open_run
from mriseg.io.sample import sample_dir

# The system refuses what goes beyond so many MiB on top of what the process has: a true shortage.
SHORT = """
import json, resource, sys
from pathlib import Path
from typer.testing import CliRunner
from mriseg.cli.app import app

def begin(room):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (room << 20)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

results = []
for line in json.loads(sys.argv[1]):
    # For what the second one reads, and for imports and threads.
    first = CliRunner().invoke(app, line[0].split())
    assert first.exit_code == 0, first.stderr
    for room in json.loads(sys.argv[2]):
        begin(room)
        short = CliRunner().invoke(app, line[1].replace("ROOM", str(room)).split())
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        results.append([room, short.exit_code, short.stderr, repr(short.exception)])
print(json.dumps(results))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and counts as Linux does")
@pytest.mark.slow
def test_too_little_memory_is_reported(tmp_path: Path) -> None:
    rooms = [0, 2, 20, 200]
    few = "epochs = 1\nslices_per_epoch = 2\nbatch_size = 2\nwidth = 8\nvalidate_every = 9\n"
    (tmp_path / "small.toml").write_text(few)
    (tmp_path / "large.toml").write_text("epochs = 1\nbatch_size = 256\nwidth = 64\n")
    train = "train sample.zarr --backend cpu --config"
    predict = "predict sample.zarr masks --model run --no-flips"
    lines = [
        (f"preprocess {sample_dir()} sample.zarr --workers 1", "info sample.zarr"),
        (f"{train} small.toml --out run", f"{train} large.toml --out largeROOM"),
        (predict, predict),
    ]
    process = subprocess.run(
        [sys.executable, "-c", SHORT, json.dumps(lines), json.dumps(rooms)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout.splitlines()[-1])
    for room, code, stderr, raised in results:
        assert code in (0, 4), (room, code, stderr, raised)
        assert "Traceback" not in stderr
        assert (code == 4) == ("out of memory (" in stderr)
    training = results[len(rooms) : 2 * len(rooms)]
    assert all(code == 4 and "--batch-size" in stderr for _, code, stderr, _ in training)
    assert 4 in [code for _, code, _, _ in results[2 * len(rooms) :]]
    # A run that was there is what it was, and the masks are whole or not there.
    assert open_run(tmp_path / "run").has("last")


def test_what_libraries_say_of_memory_is_known() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out(refused.value)
    assert ran_out(MemoryError()) and ran_out(torch.OutOfMemoryError("CUDA out of memory."))
    assert ran_out(RuntimeError("MPS backend out of memory (MPS allocated: 8.88 GiB)"))
    assert not ran_out(RuntimeError("shape '[2]' is invalid")) and not ran_out(OSError(12, "x"))
