"""Reads a GitHub workflow as far as the shell commands that it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional


@dataclass
class Step:
    line: int
    run: list[str]
    binding: bool  # its failure fails the workflow


_KEY = re.compile(r"(\s*)(- +)?([\w-]+):(?:\s+(.*))?$")
_BLOCK = re.compile(r"[|>](?:[+-]?\d?|\d[+-])$")


def read_steps(text: str) -> list[Step]:
    """The `run:` steps below `jobs:`; a subset of YAML, as workflows are written."""
    steps: list[Step] = []
    lines = text.replace("\r\n", "\n").split("\n")
    jobs = False
    job_column = None  # of the jobs' names
    job_steps = 0  # where the current job's steps begin in `steps`
    job_binding = True
    step: Optional[Step] = None
    keys = 0  # column of the current step's keys
    index = 0

    def close_job() -> None:
        # A job may say that it does not bind below its steps as well as above.
        if not job_binding:
            for other in steps[job_steps:]:
                other.binding = False

    while index < len(lines):
        line = lines[index]
        index += 1
        match = _KEY.match(line)
        if match is None or line.lstrip().startswith("#"):
            continue
        column = len(match[1]) + len(match[2] or "")
        key, value = match[3], _scalar(match[4] or "")
        if column == 0:
            jobs = key == "jobs"
            continue
        if not jobs:
            continue
        if job_column is None:
            job_column = column
        if column == job_column:
            close_job()
            job_steps, job_binding, step = len(steps), True, None
            continue
        if match[2] and (step is None or column <= keys):
            step, keys = Step(index, [], True), column
            steps.append(step)
        elif step is not None and column < keys:
            step = None
        block: list[str] = []
        if _BLOCK.match(value):
            while index < len(lines) and (not lines[index].strip() or _column(lines[index]) > column):
                block.append(lines[index].strip())
                index += 1
        loosens = (key == "continue-on-error" and value != "false") or (key == "if" and re.sub(r"[\s${}]", "", value) in ("false", "0"))
        if step is not None and column == keys:
            if key == "run":
                step.run = block or [value]
            step.binding = step.binding and not loosens
        elif step is None and loosens:
            job_binding = False
    close_job()
    return [step for step in steps if step.run]


def _column(line: str) -> int:
    return len(line) - len(line.lstrip())


def _scalar(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] in "\"'":
        end = value.find(value[0], 1)
        return value[1:end] if end > 0 else value
    return re.sub(r"\s+#.*$", "", value)


def commands(lines: list[str]) -> list[str]:
    """Lines of a shell script that run something and whose failure counts."""
    joined = re.sub(r"\\\n", " ", "\n".join(lines)).split("\n")
    found = []
    for line in joined:
        line = re.sub(r"(?:^|\s)#.*$", "", line).strip()
        if line and not re.match(r"(echo|printf|:)\b|:\s", line) and not re.search(r"\|\|\s*(true\b|:|exit 0\b)", line):
            found.append(line)
    return found
