"""Malformed and hostile files: refused at the right place for the right reason, quickly and in little memory.

All are loaded by one child process, whose memory is limited; what it says of each is looked at one by one.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
import resource
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection

import pytest

from stackfile.errors import ErrorList, StackfileError
from tests.unit.language.memory import DEEP, load_files

SECONDS = 2.0
"""Processor time of each. The test allows ten times as much, since machines differ; the usual is 0.05."""
MEMORY = 200 << 20

Found = tuple[str, int, int]


def svc(keys: str) -> str:
    return f"services: {{a: {{image: x, {keys}}}}}\n"


def label(template: str) -> str:
    return svc(f"labels: {{a: '{template}'}}")


def chain(count: int) -> str:
    steps = "".join(f"  v{i}: '{{{{ values.v{i + 1} }}}}'\n" for i in range(count))
    return f"values:\n{steps}  v{count}: 1\n"


def doubled(count: int) -> str:
    steps = "".join(f"  v{i}: '{{{{ values.v{i - 1} }}}}{{{{ values.v{i - 1} }}}}'\n" for i in range(1, count))
    return f"values:\n  v0: xxxxxxxxxx\n{steps}"


def aliases(first: str, each: str, count: int) -> str:
    """`each` with I for the number and A for ten aliases of the one before."""
    lines = [
        f"x-{i}: &a{i} " + each.replace("I", str(i)).replace("A", ", ".join([f"*a{i - 1}"] * 10))
        for i in range(1, count)
    ]
    return f"x-0: &a0 {first}\n" + "\n".join(lines) + "\n"


EVIL = "(a+)+$"
CASES: dict[str, tuple[str | Mapping[str, str], tuple[Found, ...]]] = {
    # What YAML can do
    "alias bomb": (aliases("[x, x]", "[A]", 12), (("alias-bomb", 6, 36),)),
    "alias bomb of maps": (aliases("{k: v}", "{p: [A]}", 12), (("alias-bomb", 6, 35),)),
    "alias bomb of merges": (aliases("{k: v}", "{<<: [A], kI: v}", 12), (("alias-bomb", 6, 36),)),
    "alias in itself": ("x-a: &a {b: *a}\n", (("alias-bomb", 1, 13),)),
    "unknown alias": ("services: *x\n", (("yaml-syntax", 1, 11),)),
    "many services by alias": (
        "x-a: &a {image: x}\nservices:\n" + "".join(f"  s{i}: *a\n" for i in range(20000)),
        (("template-limit", 10003, 3),),
    ),
    "deep lists": ("x-a: " + "[" * 100000, (("too-deep", 1, 5 + DEEP),)),
    "deep closed lists": ("x-a: " + "[" * 5000 + "]" * 5000, (("too-deep", 1, 5 + DEEP),)),
    "deep maps": ("x-a: " + "{a: " * 5000, (("too-deep", 1, 258),)),
    "deep blocks": ("".join(" " * i + "a:\n" for i in range(2000)), (("too-deep", 65, 65),)),
    "deep labels": (svc("labels: " + "{a: " * 300 + "1" + "}" * 300), (("too-deep", 1, 278),)),
    "large scalar": (svc("labels: {a: '" + "x" * 20_000_000 + "'}"), (("too-large", 0, 0),)),
    "large file": ("x-a: [\n" + "  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,\n" * 600_000 + "]", (("too-large", 0, 0),)),
    "NUL escaped": ('services: {a: {image: "x\\0"}}\n', (("bad-value", 1, 23),)),
    "NUL": ("services: {a: {image: x\0}}\n", (("yaml-syntax", 1, 24),)),
    "NUL in a variable": (svc('environment: {A: "b\\0"}'), (("bad-value", 1, 43),)),
    "byte order mark": ("\ufeffservices: {a: {image: x, nope: 1}}\n", (("unknown-key", 1, 26),)),
    "tab": ("services:\n\ta: x\n", (("yaml-syntax", 2, 1),)),
    "Python object": ("services: !!python/object/apply:os.system ['id']\n", (("not-a-mapping", 1, 11),)),
    "binary": ("services: {a: {image: !!binary '/w=='}}\n", (("bad-value", 1, 23),)),
    "set": ("services: !!set {a, b}\n", (("missing-key", 1, 19), ("missing-key", 1, 22))),
    "directive": ("%YAML 3.0\n---\nservices: {a: {image: x}}\n", (("yaml-syntax", 1, 1),)),
    "two documents": ("services: {a: {image: x}}\n---\nservices: {b: 5}\n", (("yaml-syntax", 2, 1),)),
    "complex key": ("services: {? [a, b] : {image: x}}\n", (("bad-type", 1, 14),)),
    "merge of a number": ("services: {a: {<<: 5, image: x}}\n", (("bad-type", 1, 16),)),
    "merge of numbers": ("services: {a: {<<: [5], image: x}}\n", (("bad-type", 1, 16),)),
    "null as a key": ("services: {~: {image: x}}\n", (("bad-name", 1, 12),)),
    "long key": ("services: {" + "k" * 100000 + ": {image: x}}\n", (("yaml-syntax", 1, 100012),)),
    "half a surrogate": ('services: {a: {image: "\\ud800"}}\n', (("yaml-syntax", 1, 26),)),
    "unfinished list": ("services: {a: [\n", (("yaml-syntax", 2, 1),)),
    "unfinished text": ('services: {a: {image: "x}}\n', (("yaml-syntax", 1, 23),)),
    "list as a file": ("- a\n", (("not-a-mapping", 1, 1),)),
    "text as a file": ("hello\n", (("not-a-mapping", 1, 1),)),
    "number as services": ("services: 5\n", (("not-a-mapping", 1, 11),)),
    # Work without end
    "long range": (label("{{ range(1000000000) | list }}"), (("template-limit", 1, 39),)),
    "nested loops": (
        label("{% for i in range(100000) %}{% for j in range(100000) %}x{% endfor %}{% endfor %}"),
        (("template-limit", 1, 39),),
    ),
    "text times": (label('{{ "x" * 1000000000 }}'), (("template-limit", 1, 39),)),
    "list times": (label("{{ ([1] * 1000000000) | length }}"), (("template-limit", 1, 39),)),
    "power": (label("{{ 2 ** 100000000 }}"), (("template-limit", 1, 39),)),
    "power of power": (label("{{ (2 ** 1024) ** 1024 }}"), (("template-limit", 1, 39),)),
    "division by zero": (label("{{ 1 // 0 }}"), (("template-failed", 1, 39),)),
    "centred": (label('{{ "x" | center(1000000000) }}'), (("template-limit", 1, 39),)),
    "padded": (label('{{ "x".ljust(1000000000) }}'), (("template-limit", 1, 39),)),
    "format": (label('{{ "%1000000000d" | format(1) }}'), (("template-limit", 1, 39),)),
    "format by method": (label('{{ "{:1000000000}".format(1) }}'), (("template-limit", 1, 39),)),
    "percent": (label('{{ "%1000000000d" % 1 }}'), (("template-limit", 1, 39),)),
    "join": (label('{{ (range(99999) | list) | join("x" * 99999) }}'), (("template-limit", 1, 39),)),
    "join by method": (label('{{ ("x" * 9999).join(["a"] * 9999) }}'), (("template-limit", 1, 39),)),
    "replace": (label('{{ ("x" * 9999) | replace("x", "y" * 99999) }}'), (("template-limit", 1, 39),)),
    "replace by method": (label('{{ ("x" * 9999).replace("x", "y" * 99999) }}'), (("template-limit", 1, 39),)),
    "translate": (label('{{ ("x" * 9999).translate({120: "y" * 99999}) }}'), (("template-limit", 1, 39),)),
    "indent": (label('{{ ("a\\n" * 9999) | indent(99999) }}'), (("template-limit", 1, 39),)),
    "wordwrap": (label('{{ ("a " * 99999) | wordwrap(1, wrapstring="x" * 99999) }}'), (("template-limit", 1, 39),)),
    "batch": (label("{{ [1] | batch(1000000000, 1) | list }}"), (("template-limit", 1, 39),)),
    "slice": (label("{{ [1] | slice(1000000000, 1) | list }}"), (("template-limit", 1, 39),)),
    "sum of texts": (label("{% set a = \"x\" * 4000000 %}{{ a + a }}"), (("template-limit", 1, 39),)),
    "concatenation": (
        label('{% set a = "x" * 4000000 %}' + "{% set a = a ~ a %}" * 20 + "{{ a | length }}"),
        (("template-limit", 1, 39),),
    ),
    "macro without end": (label("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), (("template-limit", 1, 39),)),
    "deep brackets": (label("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}"), (("template-limit", 1, 38),)),
    "deep negation": (label("{{ " + "not " * 3000 + "1 }}"), (("template-limit", 1, 38),)),
    "deep lists in an expression": (label("{{ " + "[" * 2000 + "]" * 2000 + " }}"), (("template-limit", 1, 38),)),
    "for_each without end": (
        "services: {a: {for_each: '{{ range(100000000) | list }}', image: x}}\n", (("template-limit", 1, 27),)
    ),
    "for_each of many": (
        "services: {a: {for_each: '{{ range(99999) | list }}', image: x}}\n", (("template-limit", 1, 12),)
    ),
    "values in a circle": (
        "values: {a: '{{ values.b }}', b: '{{ values.c }}', c: '{{ values.a }}'}\n", (("values-cycle", 1, 13),)
    ),
    "values in a row": (chain(2000) + label("{{ values.v0 }}"), (("template-limit", 66, 8),)),
    "values that double": (doubled(60) + label("{{ values.v59 }}"), (("template-limit", 22, 8),)),
    "replicas without end": (svc("scale: 100000000, hostname: 'h{{ replica.index }}'"), (("template-limit", 1, 12),)),
    "variables in a row": (
        svc("labels: {a: '" + "${A:-" * 3000 + "}" * 3000 + "'}"), (("interpolation-syntax", 1, 38),)
    ),
    "unfinished variables": (svc("labels: {a: '" + "${A:-" * 3000 + "'}"), (("interpolation-syntax", 1, 38),)),
    "pattern without end": (
        f"values: {{a: {'a' * 44}!}}\nvalues_schema: {{properties: {{a: {{pattern: '^{EVIL}'}}}}}}\n",
        (("values-invalid", 1, 9),),
    ),
    "schema in itself": ("values: {a: 1}\nvalues_schema: {$ref: '#'}\n", (("values-invalid", 1, 9),)),
    "schema from elsewhere": (
        "values: {a: 1}\nvalues_schema: {$ref: 'http://localhost:1/x'}\n", (("values-invalid", 1, 9),)
    ),
    "no schema": ("values: {a: 1}\nvalues_schema: {type: nope}\n", (("values-invalid", 1, 9),)),
    "no pattern": (
        "values: {a: 1}\nvalues_schema: {patternProperties: {'(': {}}}\n", (("values-invalid", 1, 9),)
    ),
    # Reaching for attributes, files, other data
    "class": (label('{{ "".__class__ }}'), (("template-undefined", 1, 39),)),
    "subclasses": (label('{{ "".__class__.__mro__[1].__subclasses__() }}'), (("template-failed", 1, 39),)),
    "class by filter": (label('{{ "" | attr("__class__") }}'), (("template-undefined", 1, 39),)),
    "class by index": (label('{{ ""["__class__"] }}'), (("template-undefined", 1, 39),)),
    "class by map": (label('{{ [1] | map(attribute="__class__") | list }}'), (("template-failed", 1, 38),)),
    "class by sort": (label('{{ [1, 2] | sort(attribute="__class__") }}'), (("template-failed", 1, 39),)),
    "class by format": (label('{{ "{0.__class__}".format(1) }}'), (("template-failed", 1, 39),)),
    "globals": (label("{{ range.__init__.__globals__ }}"), (("template-undefined", 1, 39),)),
    "cycler": (label("{{ cycler.__init__.__globals__.os }}"), (("template-undefined", 1, 39),)),
    "self": (label("{{ self.__init__ }}"), (("template-undefined", 1, 39),)),
    "import": (label('{% import "/etc/passwd" as x %}{{ x }}'), (("include-outside", 1, 39),)),
    "include": (label('{% include "/etc/passwd" %}'), (("include-outside", 1, 39),)),
    "include of a parent": (label('{% include "../../etc/passwd" %}'), (("include-outside", 1, 39),)),
    "extends": (label('{% extends "/etc/passwd" %}'), (("include-outside", 1, 39),)),
    "change of a list": ("values: {l: [1]}\n" + label("{{ values.l.append(2) }}"), (("template-failed", 2, 39),)),
    "change of a map": ('values: {l: {a: 1}}\n' + label('{{ values.update(a=2) }}'), (("template-failed", 2, 39),)),
    "include outside": ("include: [../../etc/passwd]\n", (("file-not-found", 1, 11),)),
    "include of itself": ("include: [stack.yaml]\n", (("include-cycle", 1, 11),)),
    "extends outside": (
        "services: {a: {extends: {file: ../../x.yaml, service: b}}}\n",
        (("missing-key", 1, 15), ("file-not-found", 1, 32)),
    ),
    # Numbers, names, places
    "port range": (svc("ports: ['1-65535:1-65535']"), (("bad-port", 1, 34),)),
    "large port": (svc("ports: ['99999999999999999999:1']"), (("bad-port", 1, 34),)),
    "large size": (svc("mem_limit: 99999999999999999999999g"), (("bad-size", 1, 37),)),
    "size beyond floats": (svc(f"mem_limit: {'9' * 400}g"), (("bad-size", 1, 37),)),
    "long duration": (svc("stop_grace_period: 99999999999999h"), (("bad-duration", 1, 45),)),
    "longer duration": (svc(f"stop_grace_period: {'9' * 5000}h"), (("bad-duration", 1, 45),)),
    "thousands of digits": (svc("pids_limit: " + "9" * 5000), (("bad-type", 1, 38),)),
    "thousands of digits in a text": (svc(f"restart: 'on-failure:{'9' * 5000}'"), (("bad-value", 1, 35),)),
    "thousands of digits in a Compose file": (
        {"compose.yaml": svc("pids_limit: " + "9" * 5000)}, (("bad-type", 1, 38),)
    ),
    "infinite": (svc("cpus: 1e999"), (("bad-value", 1, 32),)),
    "not a number": (svc("cpus: .nan"), (("bad-value", 1, 32),)),
    "negative": (svc("scale: -1"), (("bad-value", 1, 33),)),
    "path as a name": ("name: ../../x\n", (("bad-name", 1, 7),)),
    "path as a container's name": (svc("container_name: '../x'"), (("bad-name", 1, 42),)),
    "lines in a host name": (svc('hostname: "a\\nb"'), (("bad-name", 1, 36),)),
    "variable with =": (svc('environment: {"A=B": c}'), (("bad-value", 1, 40),)),
    "picture as a name": ("services: {\U0001f600: {image: x}}\n", (("bad-name", 1, 12),)),
    "text from right to left": ('services: {"a\u202eb": {image: x}}\n', (("bad-name", 1, 12),)),
    "dependencies in a large circle": (
        "services:\n" + "".join(f"  s{i}: {{image: x, depends_on: [s{(i + 1) % 3000}]}}\n" for i in range(3000)),
        (("dependency-cycle", 2, 31),),
    ),
}  # fmt: skip


def _found(files: str | Mapping[str, str]) -> list[Found] | str:
    try:
        load_files({"stack.yaml": files} if isinstance(files, str) else files)
    except StackfileError as error:
        single = error.errors if isinstance(error, ErrorList) else (error,)
        return [(e.reason, e.at.line, e.at.column) if e.at else (e.reason, 0, 0) for e in single]
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return []


def _load_all(pipe: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY + (64 << 20), MEMORY + (64 << 20)))
    for name, (files, _) in CASES.items():
        began = time.process_time()
        found = _found(files)
        pipe.send_bytes(json.dumps([name, found, time.process_time() - began]).encode())
    pipe.close()


@functools.cache
def outcomes() -> dict[str, tuple[list[Found] | str, float]]:
    """(what was found, processor seconds) of every case."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_load_all, args=(theirs,))
    child.start()
    theirs.close()
    result: dict[str, tuple[list[Found] | str, float]] = {}
    try:
        while True:
            name, found, seconds = json.loads(ours.recv_bytes())
            result[name] = found if isinstance(found, str) else [tuple(place) for place in found], seconds
    except EOFError:
        child.join()
    assert child.exitcode == 0, f"ended after {next(reversed(result), 'nothing')}"
    return result


@pytest.mark.parametrize("name", CASES)
def test_refused(name: str) -> None:
    found, seconds = outcomes()[name]
    assert found == list(CASES[name][1])
    assert seconds < 10 * SECONDS
