"""The stored bytecode: a file that is cut is not used."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mauntic.project.programs import ROOT

NODE = ROOT / ".venv" / "bin" / "node"
# Keep two files, then read the folder again. Prints what it finds, before and after the cut.
SCRIPT = """
import { readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
const { Bytecode } = await import(process.argv[1]);
const { pack } = await import(process.argv[2]);
const [folder, cut] = [process.argv[3], Number(process.argv[4])];
const bytes = (text) => new TextEncoder().encode(text);
const path = (name) => `lib/__pycache__/${name}.cpython-314.pyc`;
const files = () => new Bytecode(folder, []).files();
const read = () => files().map(([name, content]) => [name, content.length]);
const stored = pack([[path("a"), bytes("first")], [path("b"), bytes("second")]]);
new Bytecode(folder, []).keep(stored);
const whole = read();
const [file] = readdirSync(folder);
truncateSync(join(folder, file), stored.length - cut);
console.log(JSON.stringify([whole, read(), new Bytecode(folder, []).isEmpty]));
"""


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_bytecode_that_was_cut_is_compiled_again(tmp_path: Path, cut: int) -> None:
    local = ROOT / "mauntic" / "local"
    modules = [str(local / name) for name in ("server/bytecode.mjs", "common/pack.mjs")]
    output = subprocess.run(
        [NODE, "--input-type=module", "-e", SCRIPT, *modules, tmp_path, str(cut)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    whole, after, is_empty = json.loads(output)
    assert [length for _, length in whole] == [5, 6]
    assert (after, is_empty) == ([], True)
