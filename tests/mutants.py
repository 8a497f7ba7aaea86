"""`make mutants`: changes the rules in small ways, one at a time, and says which changes no test notices.

mutmut makes the mutants; a sample of them, stratified over times, spans, lives, decisions and rules and seeded by the day's
date, is held against what is told in memory: the stories, the oracle's permits, the tests of the pure rooms.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

HOME = Path(__file__).parent.parent
BUILT = HOME / "var" / "mutants"
COPIED = ("streams", "infra", "ingest", "sql", "dashboards", "tests", "docs", "README.md")
CONFIG = """
[tool.mutmut]
source_paths = ["streams"]
only_mutate = ["streams/rules/*.py", "streams/times.py", "streams/spans.py", "streams/lives.py", "streams/analyses.py", "streams/course.py"]
also_copy = ["infra", "ingest", "sql", "dashboards", "tests", "docs", "README.md"]
"""
STRATA = {"times": 40, "spans": 40, "lives": 80, "decisions": 60, "rules": 180}
"""How many of each; the rules' share is spread evenly over their modules."""
MODULES = ("test_pure", "test_lives", "test_matching", "test_trend", "test_words", "test_rules", "test_judging", "test_laws", "test_minutes")
LEFT_OUT = "not month and not random_day and not any_order and not every_rule_module and not four_hundred and not named_twice and not two_pauses and not forgetting and not calling and not length_of_time and not published_for_every and not many_permits"
LONGEST = 90
"""Seconds of the processor that all checks together may take of one mutant; what was not found by then counts as not found."""
STUCK = 5.0
"""How many times as long as without a mutant a check may take of the processor, and seconds more: after that it counts as found, because it no longer ends."""
ENDLESS = 77
"""The exit status of a child whose check no longer ends."""
HELD = BUILT.with_suffix(".jsonl")
"""What found each mutant, as far as was tried: a run that was stopped goes on from here, and the next tries first what found it last."""
EXCUSED = HOME / "tests" / "mutants.toml"
EXAMPLES = """\
examples:
  make mutants                                    400 mutants, the seed being the day's date
  .venv/bin/python tests/mutants.py --seed 20261128 --write docs/mutants.md
  .venv/bin/python tests/mutants.py --show streams.times.x_before__mutmut_3      what it changes
"""


# ---- in the folder of the mutants ----------------------------------------------------------------------------------------


def checks() -> dict[str, Callable[[], bool]]:
    """Name → does it pass? Quick ones first."""
    from infra.plant.transcript import read_transcripts
    from tests.test_oracle import case, differences

    told = read_transcripts(Path("tests/told.txt"))

    def story(path: Path) -> Callable[[], bool]:
        from infra.plant.story import read_story
        from infra.plant.tell import judge, tell
        from infra.plant.transcript import transcript

        def as_told() -> bool:
            read = read_story(path)
            telling = tell(read)
            return judge(read, telling) == [] and list(transcript(read, telling)) == told.get(path.stem)

        return as_told

    def module(name: str) -> Callable[[], bool]:
        import pytest

        args = [f"tests/{name}.py", "-q", "-x", "-p", "no:cacheprovider", "-m", "not every and not broker and not engine and not browser", "-k", LEFT_OUT]
        return lambda: pytest.main(args) in (0, 5)

    out: dict[str, Callable[[], bool]] = {"oracle": lambda: not any(list(differences(case(seed))) for seed in range(150))}
    out |= {f"story {p.stem}": story(p) for p in sorted(Path("tests/scenarios").glob("*.toml"))}
    return out | {f"module {name}": module(name) for name in MODULES}


def forked(work: Callable[[], object], longest: float) -> tuple[str, float]:
    """(what a child that did the work came to: its words, or how it died; seconds)."""
    began, (read, write) = time.monotonic(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            try:
                said = str(work())
            except BaseException as wrong:
                said = f"raised {type(wrong).__name__}"
        os.write(write, said.encode()[:60_000])
        os._exit(0)
    os.close(write)
    out = bytearray()
    while (left := longest - (time.monotonic() - began)) > 0:
        if select.select([read], [], [], left)[0]:
            if not (block := os.read(read, 65536)):
                break
            out += block
    else:
        os.kill(child, signal.SIGKILL)
        out = bytearray(b"never ended")
    os.close(read)
    status = os.waitpid(child, 0)[1]
    return out.decode() or ("no longer ends" if os.waitstatus_to_exitcode(status) == ENDLESS else "died"), time.monotonic() - began


def covered(first: int, step: int) -> dict[str, tuple[float, dict[str, list[int]]]]:
    """Check → (seconds, traced; file → the lines that it runs), of every so manieth check."""
    from coverage import Coverage

    out, page = {}, Path(f"covered-{first}.json")
    for name, check in list(checks().items())[first::step]:

        def work(check: Callable[[], bool] = check) -> str:
            traced = Coverage(data_file=None, include=["streams/*"])
            traced.start()
            passed = check()
            traced.stop()
            data = traced.get_data()
            page.write_text(json.dumps({str(Path(f).relative_to(Path.cwd())): sorted(data.lines(f) or ()) for f in data.measured_files()}), encoding="utf-8")
            return str(passed)

        said, seconds = forked(work, 2400)
        if said != "True":
            print(f"  {name} does not pass without a mutant and is left out: {said[:200]}", file=sys.stderr, flush=True)
            continue
        out[name] = (seconds, json.loads(page.read_text(encoding="utf-8")))
    return out


def found_by(mutant: str, covering: list[tuple[str, float]]) -> str:
    """The first check that fails with a mutant in force, or no longer ends; empty: none. `covering`: names, and seconds without a mutant."""
    mine = checks()

    def stop(*_: object) -> None:
        os._exit(ENDLESS)  # an exception would be taken for a failed test, and the next one does not end either

    def work() -> str:
        os.environ["MUTANT_UNDER_TEST"] = mutant
        signal.signal(signal.SIGPROF, stop)
        for name, seconds in covering:
            if time.process_time() > LONGEST:
                break
            signal.setitimer(signal.ITIMER_PROF, STUCK + STUCK * seconds)
            try:
                if not mine[name]():
                    return name
            except Exception:
                return name
        return "none"

    said, _ = forked(work, 6 * LONGEST)
    return "" if said in ("none", "never ended") else said


def inside(what: str, first: int, step: int) -> int:
    """The work that is done in the folder of the mutants: one JSON a line on standard output."""
    os.environ.setdefault("MUTANT_UNDER_TEST", "")
    sys.path.insert(0, str(Path.cwd()))
    if what == "cover":
        print("\n" + json.dumps(covered(first, step)), flush=True)
        return 0
    checks()
    for line in sys.stdin:
        mutant, covering = json.loads(line)
        print(json.dumps([mutant, found_by(mutant, covering)]), flush=True)
    return 0


def story_codes() -> dict[str, set[str]]:
    """Story → the codes that it expects."""
    read = {p.stem: tomllib.loads(p.read_text(encoding="utf-8")) for p in sorted(Path("tests/scenarios").glob("*.toml"))}
    return {f"story {stem}": {str(e["code"]) for e in told.get("expect", ())} for stem, told in read.items()}


# ---- from outside --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """One small change: its name, the function that it changes, the stratum; the file, and the lines of the statement (of the whole function) that it changes."""

    name: str
    function: str
    stratum: str
    file: str = ""
    lines: frozenset[int] = frozenset()
    body: frozenset[int] = frozenset()
    text: str = ""
    """The digest of the function as it is mutated."""


def build() -> None:
    """The mutants of the rules, made by mutmut in a folder of their own."""
    shutil.rmtree(BUILT, ignore_errors=True)
    BUILT.mkdir(parents=True)
    for name in COPIED:
        copy = shutil.copytree if (HOME / name).is_dir() else shutil.copy
        copy(HOME / name, BUILT / name)
    (BUILT / "pyproject.toml").write_text((HOME / "pyproject.toml").read_text(encoding="utf-8") + CONFIG, encoding="utf-8")
    make = "import os; os.environ['MUTANT_UNDER_TEST'] = 'mutant_generation'; from mutmut.__main__ import *; Config.ensure_loaded(); os.makedirs('mutants', exist_ok=True); " \
           "copy_src_dir(); copy_also_copy_files(); setup_source_paths(); create_mutants(2)"  # fmt: skip
    subprocess.run([sys.executable, "-c", make], cwd=BUILT, check=True, stdout=subprocess.DEVNULL)
    shutil.copy(BUILT / "pyproject.toml", BUILT / "mutants" / "pyproject.toml")


def made() -> Iterator[Mutant]:
    for file in sorted((BUILT / "mutants" / "streams").rglob("*.meta")):
        stratum = {"times": "times", "spans": "spans", "lives": "lives", "analyses": "lives", "course": "lives", "gates": "decisions"}.get(file.name.removesuffix(".py.meta"), f"rules/{file.name.removesuffix('.py.meta')}")
        source = file.with_suffix("").read_text(encoding="utf-8")
        text, at = source.splitlines(), {n.name: n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        for name in json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]:
            function, _, number = name.partition("__mutmut_")
            stem = function.rpartition(".")[2]
            mutated = at[f"{stem}__mutmut_{number}"]
            place = changed(text, at[f"{stem}__mutmut_orig"], mutated)
            digest = hashlib.sha256("\n".join(text[mutated.lineno - 1 : mutated.end_lineno]).encode()).hexdigest()[:16]
            yield Mutant(name, function, stratum, str(file.relative_to(BUILT / "mutants").with_suffix("")), *place, digest)


def changed(text: list[str], was: ast.FunctionDef | ast.AsyncFunctionDef, now: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[frozenset[int], frozenset[int]]:
    """(the lines of the statement that a mutant changes, of the whole function), as the unchanged function has them."""
    end = was.end_lineno or was.lineno
    body = frozenset(range(was.body[0].lineno, end + 1))
    off = next((i for i in range(1, end - was.lineno + 1) if text[was.lineno - 1 + i] != text[now.lineno - 1 + i : now.lineno + i][0]), None)
    if off is None:
        return frozenset(), body
    line, narrow = was.lineno + off, body
    for stmt in (n for n in ast.walk(was) if isinstance(n, ast.stmt | ast.match_case)):
        first = stmt.pattern.lineno if isinstance(stmt, ast.match_case) else stmt.lineno
        inner = getattr(stmt, "body", None)
        last = inner[0].lineno - 1 if inner else getattr(stmt, "end_lineno", first)
        if stmt is not was and first <= line <= max(first, last) and last - first < len(narrow):
            narrow = frozenset(range(first, max(first, last) + 1))
    return narrow, body


def sample(mutants: list[Mutant], seed: int, share: float = 1.0) -> list[Mutant]:
    """So many of each stratum (or a share of them); of the rules, in turn from each module. By hash, so that a change of the code draws few others."""
    by = defaultdict[str, list[Mutant]](list)
    for m in sorted(mutants, key=lambda m: hashlib.sha256(f"{seed} {m.name}".encode()).digest()):
        by[m.stratum].append(m)
    out = [m for stratum, count in STRATA.items() for m in by.get(stratum, [])[: round(count * share)]]
    modules, n, most = sorted(s for s in by if s.startswith("rules/")), 0, round(STRATA["rules"] * share)
    while n < most and any(by[s] for s in modules):
        for stratum in modules:
            if by[stratum] and n < most:
                out.append(by[stratum].pop())
                n += 1
    return out


def change(mutant: str) -> list[str]:
    """The lines that a mutant changes, as - and +."""
    code = f"import os; os.environ['MUTANT_UNDER_TEST'] = ''; from mutmut.__main__ import *; Config.ensure_loaded(); print(get_diff_for_mutant({mutant!r}))"
    said = subprocess.run([sys.executable, "-c", code], cwd=BUILT, capture_output=True, text=True)
    return [line for line in said.stdout.splitlines() if re.match(r"[-+](?![-+])", line)]


NEAR = {"lives": ("story L_", "story S50", "story S68", "story B0", "story N"), "decisions": ("story D_", "story S50", "story S51", "story S52", "module test_judging"), "rules/minute": ("module test_minutes",), "rules/watched": ("module test_minutes",), "rules/risk": ("module test_minutes", "story S35", "story S38")}
"""Stratum → stories that are told because of it."""
PURE = ("module test_pure", "module test_lives", "module test_matching", "module test_trend", "module test_words")


def spoken() -> dict[str, set[str]]:
    """Story → the modules of the rules whose codes it expects, or allows."""
    from streams.rules import RULES

    module = {rule.code: rule.function.__module__ for rule in RULES}
    out = {}
    for path in sorted((HOME / "tests" / "scenarios").glob("*.toml")):
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        codes = {str(e["code"]) for e in told.get("expect", ())} | {d for t in told.get("decision", ()) for d in t.get("reasons", ())} | set(told.get("also", ()))
        out[f"story {path.stem}"] = {module[c] for c in codes if c in module} | ({"streams.rules.verdict"} if told.get("verdict") else set()) | ({"streams.rules.gates"} if told.get("decision") else set())
    return out


def judging() -> dict[str, set[str]]:
    """Function that judges → the codes that it judges."""
    from streams.rules import RULES

    out = defaultdict[str, set[str]](set)
    for rule in RULES:
        out[f"{rule.function.__module__}.x_{rule.function.__name__}"].add(rule.code)
    return out


def held(mutants: list[Mutant], cover: dict[str, tuple[float, dict[str, set[int]]]], before: dict[str, str], workers: int) -> Iterator[tuple[Mutant, str]]:
    """Each mutant and what found it, as they come. `before`: what found it last."""
    speaks, codes, judges = spoken(), story_codes(), judging()

    def order(m: Mutant) -> list[tuple[str, float]]:
        """What runs the changed statement: the tests of the pure rooms and (but for rules) the oracle, then stories about codes of its module, quick ones first."""
        module, about = m.function.rpartition(".")[0], "oracle" if not m.stratum.startswith("rules/") else ""
        wanted = m.lines if any(m.lines & cover[name][1].get(m.file, set()) for name in cover) else m.body

        def rank(name: str) -> tuple[int, float]:
            near = name.startswith(NEAR.get(m.stratum, ()))
            return (-1 if before.get(m.name, "").startswith(name) else 0 if near or name == about or name in PURE or codes.get(name, set()) & judges.get(m.function, set()) else 3 if name.startswith(("module", "oracle")) else 1 if module in speaks.get(name, ()) else 2), cover[name][0]

        return [(name, cover[name][0]) for name in sorted((n for n in cover if wanted & cover[n][1].get(m.file, set())), key=rank)]

    asked = [(m, order(m)) for m in mutants]

    def run(share: list[tuple[Mutant, list[tuple[str, float]]]]) -> list[tuple[Mutant, str]]:
        child = subprocess.Popen([sys.executable, str(Path("tests/mutants.py")), "--inside", "hold"], cwd=BUILT / "mutants", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdin and child.stdout
        out = []
        for m, covering in share:
            began = time.monotonic()
            if covering:
                child.stdin.write(json.dumps([m.name, covering]) + "\n")
                child.stdin.flush()
            found = json.loads(child.stdout.readline())[1] if covering else ""
            out.append((m, found))
            with HELD.open("a", encoding="utf-8") as kept:
                kept.write(json.dumps([m.name, found, m.text]) + "\n")
            print(f"  {time.monotonic() - began:.0f} s {m.name}: {found or 'survived'}{'' if covering else ' (no test calls it)'}", file=sys.stderr, flush=True)
        child.stdin.close()
        child.wait()
        return out

    with ThreadPoolExecutor(workers) as pool:
        for done in pool.map(run, [asked[i::workers] for i in range(workers)]):
            yield from done


def report(found: list[tuple[Mutant, str]], seed: int, minutes: float) -> str:
    """The page: what was found, by stratum, and what was not, with what it changes."""
    from infra.truth.score import wilson

    excuses = tomllib.loads(EXCUSED.read_text(encoding="utf-8"))["excused"] if EXCUSED.exists() else []
    alive = [(m, change(m.name)) for m, by in found if not by]
    excused = [(m, lines, e["why"]) for m, lines in alive for e in excuses if e["function"] in ("*", m.function) and e["change"] in "\n".join(lines)]
    names = {m.name for m, _, _ in excused}
    left = [(m, lines) for m, lines in alive if m.name not in names]
    of, hit = len(found) - len(excused), sum(bool(by) for _, by in found)
    low, high = wilson(hit, of)
    out = ["# Mutants", "", "Small changes to the rules, one at a time, made by mutmut; which of them the tests notice. By command: `make mutants`.", "",
           f"Seed {seed} (the day's date), {len(found)} mutants of {len(COUNTED)}, {minutes:.0f} minutes on two cores: **{hit} of {of} found, {hit / max(1, of):.1%}** ({low:.1%} – {high:.1%}); {len(excused)} excused as equivalent.", "",
           "| stratum | mutants | found |", "|---|---|---|"]  # fmt: skip
    by_stratum = defaultdict[str, Counter[bool]](Counter)
    for m, by in found:
        by_stratum[m.stratum][bool(by)] += 1
    out += [f"| {s} | {sum(c.values())} | {c[True]} |" for s, c in sorted(by_stratum.items())]
    out += ["", "## Not found", ""] + [line for m, lines in left for line in (f"`{m.name}`", "", "```diff", *lines, "```", "")]
    out += ["## Excused", ""] + [f"- `{m.function}`: {why}" for m, _, why in excused]
    return "\n".join(out).rstrip() + "\n"


COUNTED: list[Mutant] = []


def main() -> int:
    """0 if at least 95 % are found."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(f"{date.today():%Y%m%d}"), help="of the sample (default: the day's date)")
    parser.add_argument("--write", type=Path, help="write the page into this file")
    parser.add_argument("--workers", type=int, default=2, help="how many at once")
    parser.add_argument("--share", type=float, default=1.0, help="of the 400: a look in between (default: 1)")
    parser.add_argument("--again", action="store_true", help="what was found before stays found where its function has not changed since; the others are tried again, with the code and the tests of now")
    parser.add_argument("--show", help="what one mutant changes, and nothing else")
    parser.add_argument("--inside", choices=["cover", "hold"], help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), help=argparse.SUPPRESS)
    parser.add_argument("--packs", action="store_true", help="instead: each figure of the pack one step to the looser side")
    a = parser.parse_args()
    if a.packs:
        sys.path.insert(0, str(HOME))
        os.chdir(HOME)
        from tests.moved import step_packs

        return step_packs(a.write, a.workers)
    if a.inside:
        return inside(a.inside, *a.part)
    if a.show:
        print("\n".join(change(a.show)))
        return 0
    began, looked_up = time.monotonic(), BUILT / "cover.json"
    build()
    print("what each test runs is looked up ...", flush=True)
    asked = [[sys.executable, "tests/mutants.py", "--inside", "cover", "--part", str(i), str(a.workers)] for i in range(a.workers)]
    parts = [subprocess.Popen(ask, cwd=BUILT / "mutants", stdout=subprocess.PIPE, text=True) for ask in asked]
    said = [part.communicate()[0] for part in parts]
    if any(part.returncode for part in parts):
        print("✗ what the tests run could not be looked up", file=sys.stderr)
        return 2
    looked_up.write_text(json.dumps({name: hit for text in said for name, hit in json.loads(text.splitlines()[-1]).items()}), encoding="utf-8")
    COUNTED[:] = list(made())
    cover = {name: (seconds, {f: set(lines) for f, lines in hit.items()}) for name, (seconds, hit) in json.loads(looked_up.read_text(encoding="utf-8")).items()}
    held_before = [json.loads(line) for line in HELD.read_text(encoding="utf-8").splitlines()] if HELD.exists() else []
    before = {name: by for name, by, *_ in held_before}
    drawn = sample(COUNTED, a.seed, a.share)
    texts = {m.name: m.text for m in drawn}
    trusted = {name: by for name, by, *text in held_before if a.again and text and text[0] == texts.get(name)}
    found = [(m, trusted[m.name]) for m in drawn if trusted.get(m.name)]
    found += held([m for m in drawn if not trusted.get(m.name)], cover, before, a.workers)
    page = report(found, a.seed, (time.monotonic() - began) / 60)
    print(page)
    if a.write:
        a.write.write_text(page, encoding="utf-8")
    return 0 if sum(bool(by) for _, by in found) >= 0.95 * len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
