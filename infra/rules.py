"""`permitwatch rules`: lists and explains the rule book, checks and compares packs, puts one into force, writes the catalogue; `permitwatch conform` plays a story per alarm type."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from infra.plant.story import Story, read_story
from infra.plant.tell import judge, tell
from streams.limits import LIMITS
from streams.packs import BUILT_IN, Pack, PackError, Setting, built_in, find_pack, looser, written_pack
from streams.reading import did_you_mean
from streams.rules import RULES
from streams.rules.rule import RESPOND, Rule
from streams.sentences import SENTENCES
from streams.waivers import sign

WORDS = {1: ("停工撤离", "stop and evacuate"), 2: ("暂停或锁定", "suspend or lock"), 3: ("纠正", "correct"), 4: ("告知", "inform")}


def by_code() -> dict[str, list[Rule]]:
    """The rules of each code, in the book's order."""
    out: dict[str, list[Rule]] = {}
    for rule in RULES:
        out.setdefault(rule.code, []).append(rule)
    return out


# ---- list, explain --------------------------------------------------------------------------------------------------


def list_rules(pack: Pack, lang: str) -> int:
    """One line a code: on or off, priority, AQ type, clause, sentence."""
    print(f"{pack.label}: {pack.zh if lang == 'zh' else pack.en}")
    for code, rules in sorted(by_code().items()):
        setting = pack.rules.get(code, Setting())
        sentence = (setting.zh or SENTENCES[code][0]) if lang == "zh" else (setting.en or SENTENCES[code][1])
        print(f"{'off' if setting.on is False else 'on ':3} P{setting.priority or rules[0].priority} {code:18} {rules[0].aq or '--':5} {rules[0].edition} {rules[0].clause} ({rules[0].confidence})  {sentence}")
    return 0


def explain(code: str, pack: Pack, stories: Path) -> int:
    """Everything about one code: what it says, its source, its settings, who must respond by when, and the stories that show it."""
    rules = by_code().get(code)
    if rules is None:
        print(f"permitwatch rules: no rule {code}. {did_you_mean(code, by_code()) or 'See `permitwatch rules list`'}", file=sys.stderr)
        return 2
    print("\n".join(_explained(code, rules, pack, shown_by(code, stories))))
    return 0


def _explained(code: str, rules: list[Rule], pack: Pack, stories: list[str]) -> Iterator[str]:
    setting, first = pack.rules.get(code, Setting()), rules[0]
    priority = setting.priority or first.priority
    yield f"{code}  P{priority} {'/'.join(WORDS[priority])}  {'off' if setting.on is False else 'on'} in {pack.label}"
    for rule in rules:
        yield f"  about a {rule.subject}: {(rule.function.__doc__ or '').strip()}"
        yield f"  source: {rule.edition} {rule.clause}, confidence {rule.confidence}{f', AQ type {rule.aq}' if rule.aq else ''}"
    yield f"  zh: {setting.zh or SENTENCES[code][0]}"
    yield f"  en: {setting.en or SENTENCES[code][1]}"
    yield f"  do: {SENTENCES[f'{code}.advice'][0]} / {SENTENCES[f'{code}.advice'][1]}"
    yield f"  first response within {RESPOND[priority] / 1000:g} s; then the workshop, then the director"
    if setting.on_delay or setting.off_delay:
        yield f"  on-delay {setting.on_delay or 0:g} s, off-delay {setting.off_delay or 0:g} s"
    yield f"  stories: {', '.join(stories) or 'none found'}"


def shown_by(code: str, folder: Path) -> list[str]:
    """The stories in a folder that expect a code."""
    return [p.stem for p in sorted(folder.glob("*.toml")) if f'code = "{code}"' in p.read_text(encoding="utf-8")]


# ---- check, diff, apply ---------------------------------------------------------------------------------------------


def sign_waivers(path: Path, key: Path) -> int:
    """Prints the signature line of each waiver of a pack."""
    try:
        signed = sign(written_pack(path), key.read_bytes())
    except (OSError, ValueError) as wrong:
        print(f"permitwatch rules: {wrong}. Make a key: openssl genpkey -algorithm ed25519 -out waivers.key", file=sys.stderr)
        return 2
    for name, signature in signed.items():
        print(f'# [[waivers]] key = "{name}"\nsignature = "{signature}"')
    if not signed:
        print(f"permitwatch rules: {path} has no waiver", file=sys.stderr)
    return 0 if signed else 2


def check_packs(paths: list[Path]) -> int:
    """Reads packs; 0 if all are right, 2 with file, line, key and remedy of the first fault of each that is not."""
    wrong = 0
    for path in paths:
        try:
            pack = find_pack(str(path), Path(), dt.date.today())
            print(f"✓ {path}: {pack.label}, {pack.layer}, over {pack.base or 'nothing'}, {len(pack.waivers)} waiver(s)")
        except PackError as error:
            wrong += 1
            print(f"✗ {error}", file=sys.stderr)
    return 2 if wrong else 0


def diff(one: Pack, two: Pack) -> int:
    """What changes from one pack to another, and which way; 1 if anything does."""
    lines = list(_differences(one, two))
    print(f"{one.label} → {two.label}: {len(lines)} difference(s)")
    for line in lines:
        print(f"  {line}")
    return 1 if lines else 0


def _differences(one: Pack, two: Pack) -> Iterator[str]:
    down = set(looser(two, one))
    for name, limit in LIMITS.items():
        a, b = one.limits[name], two.limits[name]
        if a != b:
            yield f"limits.{name}: {a:g} → {b:g} {limit.unit} ({limit.zh}, {limit.en}) {'LOOSER' if f'limits.{name}' in down else ('stricter' if limit.stricter else 'other')}"
    for table in ("lel", "toxic", "molar", "warn_days", "trades"):
        before, after = getattr(one, table), getattr(two, table)
        yield from (f"{table}.{k}: {before.get(k, '—')} → {after.get(k, '—')}" for k in sorted({*before, *after}) if before.get(k) != after.get(k))
    for code in sorted({*one.rules, *two.rules}):
        was, now = one.rules.get(code, Setting()), two.rules.get(code, Setting())
        changed = [f"{f}: {getattr(was, f)} → {getattr(now, f)}" for f in Setting.__struct_fields__ if getattr(was, f) != getattr(now, f)]
        if changed:
            yield f"rules.{code}: {', '.join(changed)}{' LOOSER' if f'rules.{code}' in down else ''}"


def apply(path: Path, since: str, door: str) -> int:
    """Sends a pack to ingest's door as an event that comes into force at a moment; open permits are judged by the date in force."""
    try:
        pack = find_pack(str(path), Path(), dt.date.today())
        at = dt.datetime.fromisoformat(since).astimezone() if since else dt.datetime.now().astimezone()
    except (PackError, ValueError) as wrong:
        print(f"permitwatch rules apply: {wrong}. The pack in force stays", file=sys.stderr)
        return 2
    token = os.environ.get("PERMITWATCH_TOKEN_OPERATOR", "")
    body = {"at": int(dt.datetime.now().timestamp() * 1000), "effective": int(at.timestamp() * 1000), "pack": msgspec.to_builtins(pack)}
    request = urllib.request.Request(f"{door}/events/pack", json.dumps(body).encode(), {"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10):
            print(f"{pack.label} comes into force {at.isoformat()}")
            return 0
    except urllib.error.HTTPError as wrong:
        print(f"permitwatch rules apply: {wrong.read().decode()[:400]}. The pack in force stays", file=sys.stderr)
    except OSError as wrong:
        print(f"permitwatch rules apply: {door}: {wrong}. Is ingest up? Set PERMITWATCH_TOKEN_OPERATOR. The pack in force stays", file=sys.stderr)
    return 2


# ---- the catalogue and the conformance report -----------------------------------------------------------------------


AS_OF = {"fact": "事实发生时 the fact", "permit": "作业票批准时 the approval", "now": "当前 now"}
"""Which pack gives a figure: the one in force then."""


def catalogue(pack: Pack, folder: Path) -> str:
    """The rule catalogue as Markdown, Chinese and English."""
    out = [f"# 规则目录 / Rule catalogue\n\nGenerated by `permitwatch rules catalogue --write docs/rules-catalogue.md` from pack {pack.label}; {len(by_code())} codes, {len(RULES)} rules. Clause, edition and confidence (A primary text, B secondary source, C practice: to be confirmed by the site's safety engineer) stand beside each.\n"]
    out.append("| code | P | AQ | 来源 source | 说法 sentence | 建议 advice | 限值 figures | stories |\n|---|---|---|---|---|---|---|---|\n")
    for code, rules in sorted(by_code().items()):
        setting, first = pack.rules.get(code, Setting()), rules[0]
        off = " (off)" if setting.on is False else ""
        zh, en = (s.replace("|", "\\|") for s in SENTENCES[code])
        azh, aen = SENTENCES[f"{code}.advice"]
        out.append(f"| {code}{off} | P{setting.priority or first.priority} | {first.aq} | {first.edition} {first.clause} ({first.confidence}) | {zh}<br>{en} | {azh}<br>{aen} | {', '.join(sorted({t for r in rules for t in r.takes}))} | {', '.join(shown_by(code, folder))} |\n")
    out.append(f"\n# 限值 / Limits of {pack.label}\n\n| limit | value | 取值时点 as of | stricter is | 含义 meaning |\n|---|---|---|---|---|\n")
    out += [f"| {name} | {pack.limits[name]:g} {limit.unit} | {AS_OF[limit.when]} | {limit.stricter or '—'} | {limit.zh}, {limit.en} |\n" for name, limit in LIMITS.items()]
    return "".join(out)


AQ2 = {
    "01": "S68_cal_expired", "02": "S02_gas_47_min_before_approval", "03": "S32_interruption_45_min", "04": "S34_day_2_no_test", "05": "S30_confined_record_missed",
    "10": "S53_overdue_open", "20": "R_BLIND_one_ticket", "30": "S58_approver_offsite", "31": "S19_guardian_absent", "40": "S48_holiday_night", "41": "S48_rest_day",
    "42": "S48_night_not_upgraded", "43": "S48_special_time", "50": "R_CERT_none", "51": "S11_welder_certificate_expired", "52": "S14_cert_mismatch", "60": "S06_work_without_request",
    "61": "R_LINK_missing", "62": "R_LINK_missing", "70": "R_PREP_nothing_prepared", "80": "R_PREP_nothing_prepared", "90": "R_PREP_nothing_prepared",
}  # fmt: skip
"""AQ 3064.2 Table A.4: alarm type → the story that shows it."""
AQ3 = {
    "SOS 0": ("X-SOS", "R_SOS_button"), "越界 1": ("X-ZONE", "R_ZONE_intruder"), "滞留 2": ("X-STAY", "R_ZONE_stay"), "静止 3": ("X-STILL", "R_STILL_six_minutes"),
    "超员 zone 1": ("X-CROWD", "R_ZONE_crowd"), "缺员 zone 2": ("X-MANNING", "R_ZONE_manning"), "聚集 5.2.3": ("X-GATHER", "R_GATHER_four"),
}
"""AQ 3064.3: alarm type → its code and the story that shows it."""


def conform(folder: Path) -> int:
    """Plays a story for each alarm type; prints type, code, clause, story, result; 0 if all 22 and those of AQ 3064.3 hold."""
    rows = [*_aq2(folder), *_aq3(folder)]
    width = max(len(r[3]) for r in rows)
    print(f"{'type':12} {'code':12} {'result':8} {'story':{width}} clause")
    for kind, code, result, story, clause in rows:
        print(f"{kind:12} {code:12} {result:8} {story:{width}} {clause}")
    bad = [r for r in rows if r[2] != "conforms"]
    print(f"\n{len(rows) - len(bad)} of {len(rows)} alarm types conform")
    return 1 if bad else 0


Row = tuple[str, str, str, str, str]


def _aq2(folder: Path) -> Iterator[Row]:
    for kind, name in AQ2.items():
        story = read_story(folder / f"{name}.toml")
        telling = tell(story)
        raised = [a for r in telling.alerts.values() for a in r if kind in a.aq.split(",")]
        good = bool(raised) and not judge(story, telling)
        yield f"AQ.2 {kind}", raised[0].code if raised else "—", "conforms" if good else "FAILS", name, f"{raised[0].edition} {raised[0].clause}" if raised else "—"


def _aq3(folder: Path) -> Iterator[Row]:
    for kind, (code, name) in AQ3.items():
        story: Story = read_story(folder / f"{name}.toml")
        telling = tell(story)
        raised = [a for r in telling.alerts.values() for a in r if a.code == code]
        good = bool(raised) and not judge(story, telling)
        yield f"AQ.3 {kind}", code, "conforms" if good else "FAILS", name, f"{raised[0].edition} {raised[0].clause}" if raised else "—"


def packs_named(names: Iterable[str]) -> list[Pack]:
    """Built-in packs by name, or files."""
    return [built_in(n) if n.lower().replace("-", "_") in BUILT_IN else find_pack(n, Path(), dt.date.today()) for n in names]
