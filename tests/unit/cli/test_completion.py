"""Completion scripts: complete, and good for their shells."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from stackfile.cli import completion, registry


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_verb_is_in_it(shell: str) -> None:
    text = completion.script(shell)
    for name in registry.names():
        assert name.rpartition(" ")[2] in text, name


def test_bash_takes_it(tmp_path: object) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    program = (
        completion.script("bash")
        + '\nCOMP_WORDS=(stackfile volume p); COMP_CWORD=2; _stackfile; echo "${COMPREPLY[*]}"'
        + '\nCOMP_WORDS=(stackfile up --force-r); COMP_CWORD=2; _stackfile; echo "${COMPREPLY[*]}"'
    )
    done = subprocess.run([bash, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["prune", "--force-recreate"], done.stderr
