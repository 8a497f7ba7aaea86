"""Every story told to the pure kernel, and told again with a worker that dies every so often."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest

from infra.plant.story import StoryError, read_story
from infra.plant.tell import judge, tell, timeline
from infra.plant.transcript import read_transcripts, transcript
from streams import packs
from streams.events import CameraBeat, Entry, Tick
from streams.kernel import Kernel
from streams.limits import LIMITS
from streams.outputs import Alert, Output, Verdict
from streams.rules import RULES
from streams.rules.gates import ORDER
from streams.sentences import REASONS
from streams.times import HOUR
from tests.marks import seed_marks

STORIES = sorted((Path(__file__).parent / "scenarios").glob("*.toml"))
TOLD = read_transcripts(Path(__file__).parent / "told.txt")
"""All that is said in each story: every time, sentence, piece of evidence, request, answer, verdict and minute, so that nothing changes unread."""


def _told(path: Path):
    told = tomllib.loads(path.read_text())
    return pytest.param(path, id=path.stem, marks=seed_marks(told))


READ = {"tools_down", "lel_vol_high", "lel_vol_low", "lel_percent", "oxygen_low", "oxygen_pass", "valid_special", "valid_first", "valid_second", "valid_confined", "valid_height", "valid_power", "late_fact", "analysis_span"}
"""Figures by which facts are read (an analysis, a validity that was not told) and announcing is held back, whichever rule asks first."""


class Noted(dict[str, float]):
    """Figures that note who reads them."""

    asking: ClassVar[str] = ""
    taken: ClassVar[dict[str, set[str]]] = {}

    def __getitem__(self, name: str) -> float:
        self.taken.setdefault(self.asking, set()).add(name)
        return super().__getitem__(name)


@pytest.fixture(scope="module", autouse=True)
def noted():
    """Terms whose figures note which rule reads them, for as long as the stories are told."""
    made, judged = packs.Terms.__init__, Kernel._judge

    def make(self, pack, when=None):
        made(self, pack, when)
        self.limits, self.ms = Noted(self.limits), Noted(self.ms)

    def ask(self, i, name, moment, touched=False):
        Noted.asking = f"{RULES[i].code}/{RULES[i].subject}"
        try:
            return judged(self, i, name, moment, touched)
        finally:
            Noted.asking = ""

    packs._ready.clear()
    packs.Terms.__init__, Kernel._judge = make, ask
    yield
    packs.Terms.__init__, Kernel._judge = made, judged
    packs._ready.clear()


@pytest.mark.parametrize("path", [_told(p) for p in STORIES])
def test_the_kernel_tells_the_story(path):
    """As it is told to happen; every alert of a permit says where; and each rule takes only the figures that it declares (as of which moment, `Terms` sees to)."""
    story = read_story(path)
    Noted.taken.clear()
    telling = tell(story)
    assert judge(story, telling) == []
    assert list(transcript(story, telling)) == TOLD[path.stem], "if the new words are right: permitwatch play --write tests/told.txt tests/scenarios/*.toml"
    at = {(v.permit, v.life, v.point) for v in telling.outputs if isinstance(v, Verdict)}
    ruled = {(permit, life) for permit, life, _ in at}
    assert {a.id for r in telling.alerts.values() for a in r if (a.permit, a.life) in ruled and (a.permit, a.life, a.point) not in at} == set()
    declared = {f"{r.code}/{r.subject}": {*r.takes, *READ} for r in RULES}
    assert {rule: taken - declared[rule] for rule, taken in Noted.taken.items() if rule and taken - declared[rule]} == {}


def test_every_figure_is_taken_by_somebody_and_rules_declare_only_figures():
    """What no rule takes is read with the telemetry, by a course, or by a verdict."""
    taken = {name for rule in RULES for name in rule.takes}
    assert taken <= LIMITS.keys()
    assert LIMITS.keys() - taken - READ == {"clear_share", "dcs_gap", "detection_sure", "oxygen_clear", "oxygen_rich_step", "oxygen_rich_sure", "watch_fresh"}


def test_a_figure_is_given_only_as_of_its_own_moment():
    """A rule that asks for a figure as of another moment than `LIMITS` says gets none, and says so."""
    terms = packs.terms_of(packs.built_in("GB"))
    views = {"fact": terms.fact, "permit": terms.permit, "now": terms.now}
    for name, limit in LIMITS.items():
        assert [when for when, view in views.items() if name in view.limits] == [limit.when]


def test_every_reason_of_the_gates_is_given_in_a_story():
    """And has a sentence in both languages."""
    given = {reason for path in STORIES for asked in tomllib.loads(path.read_text()).get("decision", ()) for reason in asked.get("reasons", ())}
    assert set(ORDER) <= given <= {*ORDER, "X-RESCUE"}
    assert set(ORDER) <= REASONS.keys()


@pytest.mark.seed("S73")
@pytest.mark.parametrize("path", [_told(p) for p in STORIES if p.stem.split("_")[0] in ("S02", "S19", "S26", "S73")])
def test_a_worker_that_dies_and_is_restored_says_the_same(path):
    story = read_story(path)
    assert {(o.id, o.revision) for r in tell(story, crash_every=1500).alerts.values() for o in r} == {
        (o.id, o.revision) for r in tell(story).alerts.values() for o in r
    }


LIT = [p for p in STORIES if "dark" not in tomllib.loads(p.read_text(encoding="utf-8"))]
"""The stories in which the clock itself does not stand still."""


@pytest.mark.parametrize("path", LIT[::9], ids=lambda p: p.stem)
def test_telling_only_the_seconds_in_which_something_is_due_says_the_same(path):
    """A clock that leaves out what is idle: every output equal, in the same order, so permits can be judged again without the clock's log."""
    story = read_story(path)
    all_told, due_told = Kernel("story"), Kernel("story")
    every: list[Output] = []
    due: list[Output] = []
    for n, (at, said) in enumerate(timeline(story)):
        if isinstance(said, Tick):
            every += all_told.step(Entry("story", "clock", n, at, "site.events", said))
            due += [] if due_told.memory.site.now else due_told.advance(at)
        elif isinstance(said, Entry):
            every += all_told.step(said)
            due += [*(due_told.advance(at - 1) if due_told.memory.site.now else []), *due_told.step(said)]
    assert every == due + due_told.advance(story.end)


def test_what_is_let_go_is_let_go_at_the_same_second(scenarios):
    """Three days after a story with a standing alert: a clock that leaves out what is idle forgets when the other does."""
    story = read_story(next(p for p in scenarios if p.stem == "S55_voice_22s"))
    every, due = Kernel("story"), Kernel("story")
    for n, (at, said) in enumerate(timeline(story)):
        if isinstance(said, Tick | Entry):
            entry = Entry("story", "clock", n, at, "site.events", said) if isinstance(said, Tick) else said
            assert every.step(entry) == due.step(entry)
    told = [o for at in range(story.end, story.end + 75 * HOUR, 1000) for o in every.step(Entry("story", "clock", 0, at, "site.events", Tick(at=at, virtual=True)))]
    assert told == due.advance(story.end + 75 * HOUR - 1000)
    assert any(isinstance(o, Alert) and o.state == "cleared" for o in told)


def test_a_camera_whose_clock_is_ahead_and_that_falls_silent_is_missed(scenarios):
    """Filmed up to three seconds from now, nothing is open yet; the recorder that then says nothing more is told when its index has had its ten minutes."""
    story = read_story(next(p for p in scenarios if p.stem == "S07_video_after_start"))
    quiet, kernel, said = story.ms("09:10:00"), Kernel("story"), []
    for n, (at, one) in enumerate(timeline(story)):
        if isinstance(one, Entry) and isinstance(one.event, CameraBeat):
            if one.event.at > quiet:
                continue
            one = msgspec.structs.replace(one, event=msgspec.structs.replace(one.event, at=one.event.at + 3000, recording=True))
        if isinstance(one, Tick | Entry):
            said += kernel.step(Entry("story", "clock", n, at, "site.events", one) if isinstance(one, Tick) else one)
    raised = [a.raised for a in said if isinstance(a, Alert) and a.code == "X-T4" and a.revision == 1]
    assert len(raised) == 1 and quiet + 610_000 <= raised[0] <= quiet + 640_000


@pytest.mark.seed("S63")
def test_shuffled_and_repeated_arrival_ends_in_the_same_alerts(scenarios, tmp_path):
    path = next(p for p in scenarios if p.stem.startswith("S63"))
    shuffled, ordered = read_story(path), read_story(path)
    ordered.messages = read_story(_without_arrival(path, tmp_path)).messages
    assert tell(shuffled).live() == tell(ordered).live() != set()


def _without_arrival(path: Path, folder: Path) -> Path:
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("arrival"))
    plain = folder / path.name
    plain.write_text(text)
    return plain


MUSEUM = {
    "a word that is none": ('story="X"\nzh=""\nen=""\nsorty=1\n', "sorty"),
    "a time that is none": ('story="X"\nzh=""\nen=""\n[[event]]\nat="8 o\'clock"\nkind="permit.step"\npermit="1"\nstep="issued"\n', "8 o'clock"),
    "an unknown step": ('story="X"\nzh=""\nen=""\n[[event]]\nat="08:00:00"\nkind="permit.step"\npermit="1"\nstep="blessed"\n', "blessed"),
    "broken TOML": ('story="X"\nzh=\n', "line 2"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_a_wrong_story_is_refused_with_line_and_remedy(name, tmp_path):
    text, word = MUSEUM[name]
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(StoryError) as refused:
        read_story(file)
    assert word in str(refused.value)
    assert f"{file}:" in str(refused.value)
