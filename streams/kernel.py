"""The kernel: a pure function of a site's timeline. Entries in; alerts, verdicts and requests out; a snapshot is all it remembers."""

from __future__ import annotations

import contextlib
import heapq
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from streams.alerts import Told, asking, ended, number, open_alerts, renewed, settle, stands, withdrawn
from streams.analyses import unjudged
from streams.course import named_by
from streams.events import Action, ClockSaid, Decided, Entry, GasTest, Requested, SourceSaid, Step, Tick
from streams.fold import Fold
from streams.forget import forget, unhear
from streams.life import ACTIVE
from streams.lives import life_of, number_of, subject_of
from streams.matching import key_of
from streams.numbers import Numbering, UsedTwice
from streams.outputs import Alert, Code, Output, Verdict
from streams.plain import plain, shown
from streams.rules import BOOK, BY_CAUSE, RULES
from streams.rules.access import LATELY
from streams.rules.decided import asked_again
from streams.rules.gates import Answer, Question, decide, paper_ends, person_code
from streams.rules.limits import CONFINED
from streams.rules.minute import minute, worked
from streams.rules.people import colour
from streams.rules.permit import valid_until
from streams.rules.quality import OURS
from streams.rules.rule import SUBJECTS, Finding, Judged, Known, Rule, Subject, wake_at
from streams.rules.verdict import barriers, checks, light, next_look, outcome, times
from streams.telemetry import Dirty
from streams.texts import both
from streams.times import DAY, EVER, HOUR, MINUTE, SECOND
from streams.timing import STREAMED, timed
from streams.work import SETTLES, Hole, Site, Work, relied_on, say

KEEP: Final = 48 * HOUR
ANEW: Final = 5 * MINUTE
"""So often minutes are told anew of which something was heard late."""
FORGET: Final = 6 * HOUR
CROWDED, SELDOM = 100, 10 * SECOND
"""Where more than so many stand near what came late, they are looked at once in ten seconds, not every second."""
BLIND: Final = 5 * SECOND
BACK: Final = 30 * SECOND
"""Two workers that tell a site's seconds while one takes over from the other are never so far apart; a clock that was set back is."""
ASIDE: Final = frozenset({"near", "asked", "dark", "post", "prepared", "evidence", "weather", "process", "scan", "site"})
"""Causes that a permit's verdict does not ask: what they change comes to it as alerts."""
LEDGER: Final = frozenset({"permit", "seen", "gas", "guard", "video", "clock", "device", "dark", "scan"})
"""Causes on which it depends what of a minute was worked and watched."""
VERDICT: Final = -1
CODE: Final = -2
MINUTES: Final = -3
LOOK: Final = -4
NEAR: Final = -5
NONE: Final[tuple[Output, ...]] = ()
KEYS: Final = tuple(f"{r.code}/{r.subject}" for r in RULES)
BY_SUBJECT: Final = {subject: tuple(i for i, r in enumerate(RULES) if r.subject == subject) for subject in SUBJECTS}
PERMIT_RULES: Final = BY_SUBJECT["permit"]
LOOKING: Final = {subject: tuple(i for i in rules if RULES[i].others or subject not in ("permit", "worker")) for subject, rules in BY_SUBJECT.items()}
"""Of each kind of subject the rules that look at others than it."""
SILENCE: Final = frozenset({VERDICT, MINUTES, *(i for i, r in enumerate(RULES) if r.silence)})
"""What cannot be judged without streams: the rules that speak of what was not heard, verdicts and minutes, which rest on gas, video and the guardian."""
AGAIN: Final = 25
"""Answers of gates that are judged again in a second, at most."""
BROKEN: Final = Rule("SYS-RULE", "site", 2, frozenset(), lambda known, subject: Judged(), "our rule", OURS, "C")


VERSION: Final = f"{BOOK}/13"
"""A snapshot of another version is set aside, and its timeline folded anew."""


NAMES: Final = {VERDICT: "verdict", CODE: "code", LOOK: "look", NEAR: "near"}
CODED: Final[dict[str, str]] = {"worker": "person", "contractor": "contractor"}


class Memory(Struct):
    """What a snapshot holds: the site, what was told, the verdicts, and when which rule wants to look again."""

    site: Site
    version: str = VERSION
    told: dict[str, Told] = {}
    verdicts: dict[str, Verdict] = {}
    armed: dict[str, int] = {}
    codes: dict[str, Code] = {}
    """person|W1, contractor|K → the code that was last said."""
    broken: dict[str, str] = {}
    next: int = 0
    leapt: int = 0
    """When (ms) our clock, or we, came back from more than a day in which no second was told: what was known before is not let go of at once, since the clock may be wrong."""


class Kernel:
    """Judges one site. `step` is deterministic: the same entries give the same outputs, byte for byte."""

    def __init__(self, site: str, memory: Memory | None = None, left_out: frozenset[int] = frozenset()) -> None:
        self.memory = memory or Memory(Site(site))
        self.left_out = left_out
        """Rules (their places in the book; VERDICT: verdicts; MINUTES: minutes) that are not asked, since what they ask for is not told."""
        self.known = Known(self.memory.site)
        self.fold = Fold(self.known)
        self._index = {key: i for i, key in enumerate(KEYS)}
        self._index |= {"verdict": VERDICT, "code": CODE, "look": LOOK, "near": NEAR}
        self.standing: dict[str, dict[str, int]] = {}
        self.about: dict[str, str] = {}
        """Alert that stands → the life of a permit that it is about."""
        self.off: frozenset[str] = frozenset()
        """The codes that the plant has switched off, in this turn."""
        self.moved: set[str] = set()
        """Permits whose worst alert has changed since their verdict was drawn."""
        for told in self.memory.told.values():
            for alert in (a for a in told.alerts if stands(a)):
                self._stand(alert)
                self._alarm(alert, told)
        self.moved.clear()
        self.heap = [(at, *self._parse(key)) for key, at in self.memory.armed.items()]
        heapq.heapify(self.heap)

    # ---- one entry ----------------------------------------------------------------------------------------------

    def step(self, entry: Entry) -> list[Output]:
        """Takes one timeline entry; returns what is to be said because of it. A repeat says nothing."""
        site = self.memory.site
        if isinstance(entry.event, Tick):
            return self._tick(entry.event)
        dirty: Dirty = set()
        if not self._count(entry, dirty):
            return []
        if isinstance(entry.event, SourceSaid) and entry.event.name == "ingest" and site.now:
            self._heard(entry.event, dirty)
        moment = max(site.now, entry.seen)
        read = self._read(entry, moment, dirty)
        if dirty:
            self._late(read, self._since(read), dirty)
        if isinstance(entry.event, Action):
            return self._acted(entry.event.alert, moment)
        out = self._judge_all(dirty, moment) if dirty else []
        if isinstance(entry.event, Step) and entry.event.step in ("started", "resumed"):
            self._look("permit", site.latest(entry.event.permit), max(site.now, min(entry.event.at, entry.seen)) + SECOND)
        return out

    def _read(self, entry: Entry, moment: int, dirty: Dirty) -> Entry:
        """An entry in our words and by true time, folded."""
        event, odd = plain(entry.event)
        fields = [*entry.odd, *odd, *(unjudged(event, self.known.terms_at(event.at)) if isinstance(event, GasTest) else ())]
        if fields:
            self._word(entry, shown(fields), moment, dirty)
        read, ahead = timed(self.known, msgspec.structs.replace(entry, event=event, odd=fields) if fields or event is not entry.event else entry, dirty)
        for clock in self.known.measured:
            dirty |= self.fold.take(clock)
        self.known.measured.clear()
        dirty |= self.fold.take(read, ahead)
        for source in self.known.again:
            dirty |= self.fold.corrected(source)
        self.known.again.clear()
        return read

    def _since(self, entry: Entry) -> int:
        """From which moment on an entry may change what is known: its own true time; of a clock that was compared, since it was compared before."""
        site, event = self.memory.site, entry.event
        if not isinstance(event, ClockSaid):
            return min(event.at, site.true(entry.source, event.at))
        before = [f.event for f in site.clocks.get(event.device, ()) if isinstance(f.event, ClockSaid) and f.event.at < event.at]
        if before and abs(before[-1].offset - event.offset) <= before[-1].residual + event.residual:
            return event.at
        return before[-1].at if before else event.at - DAY

    def _late(self, entry: Entry, at: int, dirty: Dirty) -> None:
        """What was heard late, or moves what is known of earlier: whom it concerns is looked at once more, who stands near it by the rules that look at others; minutes that were told before are told anew."""
        site = self.memory.site
        if at < site.now - SECOND and type(entry.event) not in STREAMED:
            own, near = self.fold.around(dirty)
            soon = site.now + SECOND if len(own | near) <= CROWDED else (site.now // SELDOM + 1) * SELDOM
            for subject, name in sorted(own):
                self._look(subject, name, soon)
            for subject, name in sorted(near - own):
                self._no_later(NEAR, f"{subject}|{name}", soon)
        if at >= site.now // MINUTE * MINUTE or MINUTES in self.left_out:
            return
        for subject, permit, cause in dirty:
            if subject == "permit" and cause in LEDGER:
                site.overdue[permit] = min(at, site.overdue.get(permit, at))

    def _word(self, entry: Entry, fields: list[str], moment: int, dirty: Dirty) -> None:
        days = self.memory.site.words.setdefault(entry.source, [])
        if say(days, self.known.day(moment).toordinal(), moment, entry.ref, [f"{entry.event.__struct_config__.tag}.{name}" for name in fields]):
            dirty.add(("source", entry.source, "words"))

    def set_aside(self, entry: Entry, reason: str) -> list[Output]:
        """Says that an entry could not be judged; nothing of it is kept but that."""
        site, dirty = self.memory.site, Dirty()
        with contextlib.suppress(UsedTwice):
            self._count(entry, dirty)
        moment = max(site.now, entry.seen) if abs(entry.seen) < 1 << 53 else site.now
        day = self.known.day(moment).toordinal()
        if say(site.asides.setdefault(entry.source, []), day, moment, entry.ref, [f"{entry.event.__struct_config__.tag}: {reason}"[:200]]):
            dirty.add(("source", entry.source, "words"))
        return self._judge_all(dirty, moment) if dirty else []

    def end_lost(self, log: str, at: int) -> list[Output]:
        """Says that one of our logs goes on before the place that was read. `at`: our clock, ms."""
        site, dirty = self.memory.site, Dirty()
        moment = max(site.now, at)
        say(site.lost, self.known.day(moment).toordinal(), moment, site.plant_ref or site.site, [log])
        dirty.add(("site", site.site, "site"))
        return self._judge_all(dirty, moment)

    def _look(self, subject: Subject, name: str, at: int) -> None:
        """All rules of a subject look at it then, whatever was heard of it: work that has just begun has no length yet."""
        self._no_later(LOOK, f"{subject}|{name}", at)

    def _count(self, entry: Entry, dirty: Dirty) -> bool:
        """Notes the entry's number; False for a repeat. A hole is remembered with the moment it was noticed."""
        site = self.memory.site
        key = f"{entry.topic}/{entry.source}/{entry.lane}"
        numbers = site.numbers.get(key)
        if numbers is None:
            numbers = site.numbers[key] = Numbering()
        whole = numbers.whole
        if not numbers.take(entry.epoch, entry.after, entry.seq, entry.seen):
            return False
        if not whole or not numbers.whole:
            self._note_holes(key, numbers, dirty)
        return True

    def _note_holes(self, key: str, numbers: Numbering, dirty: Dirty) -> None:
        site = self.memory.site
        old = [h for h in site.holes if h.series == key]
        fresh = [Hole(key, lo, hi, next((h.noticed for h in old if h.lo <= hi and h.hi >= lo), site.now)) for lo, hi in numbers.holes()]
        if fresh != old:
            site.holes = [h for h in site.holes if h.series != key] + fresh
            dirty.add(("series", key, "holes"))

    def _heard(self, event: SourceSaid, dirty: Dirty) -> None:
        """Ingest itself was away: what is missing from that time is our blindness."""
        site = self.memory.site
        if event.at > site.now + BACK:  # on its way when our clock was set right
            return
        last = site.camera("\0ingest").heard
        previous = last.last[-1] if last else None
        last.add(event.at)
        if previous is not None and event.at - previous > 3 * BLIND and site.missed(previous, event.at):
            self._darkened(dirty)

    def _darkened(self, dirty: Dirty) -> None:
        """We were blind for a while: what looked like silence of a device may have been ours."""
        site = self.memory.site
        dirty.add(("site", site.site, "dark"))
        dirty.update(("permit", permit, "dark") for permit in site.works if self.known.course(permit).at_work())

    def _tick(self, tick: Tick) -> list[Output]:
        site = self.memory.site
        if tick.at <= site.now:
            return self._set_back(tick) if site.now - tick.at > BACK and not tick.virtual else []
        over: list[Output] = []
        if site.now and tick.at - site.now - tick.idle > DAY:
            self.memory.leapt = tick.at
        if tick.at // FORGET != site.now // FORGET and tick.at - self.memory.leapt > HOUR:
            over = self._forget(tick.at, tick.at // DAY != site.now // DAY)
        dirty: Dirty = set()
        if site.now and (tick.at - site.now - tick.idle > BLIND or tick.behind > BLIND):
            site.blind.add(min(site.now, tick.at - tick.behind), tick.at)
            self._darkened(dirty)
        beat = site.cameras.get("\0ingest")
        if beat and tick.at - beat.heard.last[-1] > 3 * BLIND:
            site.missed(beat.heard.last[-1], tick.at)
            self._darkened(dirty)
        before, site.now, site.virtual = site.now, tick.at, tick.virtual
        if len(site.packs) > 1 and any(before < force.since <= tick.at for force in site.packs):
            self.fold.ask_all(dirty)
        if site.unsettled:
            self._settle(dirty)
        out = self._judge_all(dirty, tick.at) if dirty else []
        out += self._due(tick.at)
        if before and before // MINUTE != tick.at // MINUTE and MINUTES not in self.left_out:
            out += self._minute(before, tick.at)
        return over + out

    def _set_back(self, tick: Tick) -> list[Output]:
        """Our own clock was ahead and was set right: time goes on from where it is now, we were not blind in what is still to come, and whoever waited for a later moment looks at once."""
        site = self.memory.site
        site.now, self.memory.leapt = tick.at, 0
        unhear(site, tick.at)
        for told in self.memory.told.values():
            told.over = {key: min(until, tick.at) for key, until in told.over.items()}
        self.memory.armed = dict.fromkeys(self.memory.armed, tick.at)
        self.heap = [(tick.at, *self._parse(key)) for key in self.memory.armed]
        heapq.heapify(self.heap)
        dirty: Dirty = set()
        self.fold.ask_all(dirty)
        self._darkened(dirty)
        return self._judge_all(dirty, tick.at) + self._due(tick.at)

    def _settle(self, dirty: Dirty) -> None:
        """Answers that were given half blind are judged again, a few a second."""
        site = self.memory.site
        due = [f for f in site.unsettled if f.event.at + SETTLES <= site.now][:AGAIN] if self._sees() else []
        if not due:
            return
        self._turn()
        for fact in due:
            assert isinstance(fact.event, Decided)
            try:
                site.settled[fact.ref] = asked_again(self.known, fact.event)
            except Exception:  # what cannot be answered now is no other answer
                site.settled[fact.ref] = fact.event.answer
        site.unsettled = [f for f in site.unsettled if f.ref not in site.settled]
        dirty.add(("site", site.site, "asked"))

    def _sees(self) -> bool:
        """Have we seen for long enough since we were blind last?"""
        blind = self.memory.site.blind
        return not blind.hi or blind.hi[-1] + SETTLES <= self.memory.site.now

    def _next_answer(self) -> int | None:
        site = self.memory.site
        last = site.blind.hi[-1] if site.blind.hi else 0
        first = min((f.event.at for f in site.unsettled), default=None)
        return None if first is None else max(first + SETTLES, last + SETTLES, site.now + 1)

    def _minute(self, before: int, now: int) -> Sequence[Output]:
        """The minute that has just ended; every few of them also those of which something was heard late, or that we slept through."""
        site, start = self.memory.site, now // MINUTE * MINUTE - MINUTE
        if before < start:
            for permit, _ in worked(self.known, before):
                site.overdue[permit] = min(before, site.overdue.get(permit, before))
        again = site.overdue if now // ANEW != before // ANEW or site.telling else {}
        try:
            said = minute(self.known, start, self.standing, self.memory.codes, again)
        except Exception as wrong:
            return self._broken("minute|site", BROKEN, site.site, wrong, now)
        site.telling = bool(again)
        return [said]

    def advance(self, to: int) -> list[Output]:
        """Tells the seconds up to `to` (ms) in which something is due, as a clock that missed none would have: for facts that are judged again."""
        out: list[Output] = []
        while self.memory.site.now and (at := self._next_second()) <= to:
            out += self._tick(Tick(at=at, idle=at, virtual=True))
        return out + self._tick(Tick(at=to // SECOND * SECOND, idle=to, virtual=True))

    def _next_second(self) -> int:
        """The next second in which something is due: a rule, a pack, memory that is to be let go, or that our door was not heard for too long."""
        forgets = (self.memory.site.now // FORGET + 1) * FORGET
        minute_ = None if MINUTES in self.left_out else (self.memory.site.now // MINUTE + 1) * MINUTE
        return -(-min(at for at in (self._next_due(), self._next_pack(), self._next_silence(), self._next_answer(), forgets, minute_) if at is not None) // SECOND) * SECOND

    def _next_silence(self) -> int | None:
        beat = self.memory.site.cameras.get("\0ingest")
        due = beat.heard.last[-1] + 3 * BLIND + 1 if beat else 0
        return due if due > self.memory.site.now else None

    def _next_pack(self) -> int | None:
        packs = self.memory.site.packs
        return min((force.since for force in packs if force.since > self.memory.site.now), default=None) if len(packs) > 1 else None

    def _next_due(self) -> int | None:
        while self.heap and self.memory.armed.get(self._key(*self.heap[0][1:])) != self.heap[0][0]:
            heapq.heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    # ---- judging ------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """The site is judged once more: what was worked out in the last turn holds no longer."""
        self.known.turn += 1
        self.off = self.known.terms_now().off if self.memory.site.packs else frozenset()

    def _judge_all(self, dirty: Dirty, moment: int) -> list[Output]:
        self._turn()
        asked: dict[tuple[Subject, str], tuple[int, ...]] = {}
        for subject, name, cause in dirty:
            if rules := BY_CAUSE[subject, cause]:
                known = asked.get((subject, name))
                asked[subject, name] = rules if known is None else tuple(sorted({*known, *rules}))
        out: list[Output] = []
        for subject, name in sorted(asked):
            if subject != "permit" or name in self.memory.site.works:
                for i in asked[subject, name]:
                    out += self._judge(i, name, moment, touched=True)
        for subject, name, cause in sorted(dirty):
            if cause == "roster" and subject in CODED:
                out += self._code(f"{CODED[subject]}|{name}", moment)
        permits = {name for subject, name, cause in dirty if subject == "permit" and cause not in ASIDE}
        return out + self._conclude_all(permits, moment)

    def _code(self, key: str, moment: int) -> Sequence[Output]:
        """The code of a person or a contractor, if it is another than was said; looked at again when a paper runs out."""
        kind, _, who = key.partition("|")
        now = max(self.known.now, moment)
        try:
            said = person_code(self.known, who, now) if kind == "person" else colour(self.known, who, now)
            ends = [m for m in paper_ends(self.known, kind, who) if m > now]
        except Exception as wrong:
            return self._broken(f"code|{key}", BROKEN, key, wrong, moment)
        self._arm(CODE, key, self._key(CODE, key), min(ends, default=None))
        old = self.memory.codes.get(key)
        if (old is None and said[0] == "grey") or (old is not None and (old.colour, old.reasons) == (said[0], said[1])):
            return NONE
        code = Code(self.memory.site.site, who, kind, old.revision + 1 if old else 1, moment, said[0], said[1])  # type: ignore[arg-type]
        self.memory.codes[key] = code
        return [code]

    def _due(self, now: int) -> list[Output]:
        out: list[Output] = []
        permits: set[str] = set()
        self._turn()
        while self.heap and self.heap[0][0] <= now:
            at, i, name = heapq.heappop(self.heap)
            if self.memory.armed.get(self._key(i, name)) != at:
                continue
            del self.memory.armed[self._key(i, name)]
            if i == VERDICT:
                permits.add(name)
            elif i == CODE:
                out += self._code(name, now)
            elif i in (LOOK, NEAR):
                out += self._looked(name, BY_SUBJECT if i == LOOK else LOOKING, permits, now)
            elif RULES[i].subject != "permit" or name in self.memory.site.works:
                out += self._judge(i, name, now)
        return out + self._conclude_all(permits, now)

    def _looked(self, at: str, rules: Mapping[Subject, tuple[int, ...]], permits: set[str], now: int) -> list[Output]:
        """What these rules have to say of a subject; `permits`: whose verdict is drawn after that."""
        subject, _, name = at.partition("|")
        if subject == "permit":
            if name not in self.memory.site.works:
                return []
            permits.add(name)
        return [said for i in rules[subject] for said in self._judge(i, name, now, touched=True)]  # type: ignore[index]

    def _judge(self, i: int, name: str, moment: int, touched: bool = False) -> Sequence[Output]:
        """What one rule has to say of one subject. What is new, or stands and was touched, or ended just now, is looked at once more a second later, since its end may be now."""
        if i in self.left_out:
            return NONE
        rule, memory = RULES[i], self.memory
        key = f"{KEYS[i]}|{name}"
        if memory.broken and key in memory.broken:
            return NONE
        if self.off and rule.code in self.off:
            self._arm(i, name, key, None)
            return NONE
        try:
            judged = rule.judge(self.known, name)
        except Exception as wrong:  # a rule that raises takes itself out for this subject and says so; the others go on
            return self._broken(key, rule, name, wrong, moment)
        told = self.memory.told.get(key)
        if told is None:
            if not judged.findings:
                if judged.wake is not None or key in memory.armed:
                    self._arm(i, name, key, judged.wake)
                return NONE
            told = self.memory.told[key] = Told()
        before = {a.id: a.priority for a in told.alerts}
        said, look = settle(self.known, rule, name, judged.findings, told, moment, memory.site.now - KEEP)
        self._arm(i, name, key, wake_at(judged.wake, look))
        if not said and not touched:
            return NONE
        gone = list(withdrawn(told, said))
        said = [self._within_incident(a, told) for a in said]
        for alert in said:
            self._stand(alert)
        if any((a.end is None and (touched or a.revision == 1) and stands(a)) or (a.end is not None and a.end >= memory.site.now) for a in (told.alerts if touched else said)):
            self._no_later(i, name, moment + SECOND)
        out: list[Output] = [*said, *gone, *self._requests(judged, told, before, moment, rule.apart)]
        for alert in said:
            self._alarm(alert, told)
        return out

    def _within_incident(self, alert: Alert, told: Told) -> Alert:
        """Where something worse stands about the same permit, a lesser alert belongs to that incident and is not told by itself."""
        standing = self.standing.get(subject_of(alert.permit, alert.life), {})
        trend = alert.code == "X-GAS-TREND"
        worse = alert.announce and alert.permit and any(p < alert.priority or (trend and i.startswith(("X-GAS-LIM:", "X-GAS-RISE:")) and p <= 2) for i, p in standing.items() if i != alert.id)
        if not worse:
            return alert
        quiet = msgspec.structs.replace(alert, announce=False)
        if alert in told.alerts:
            told.alerts[told.alerts.index(alert)] = quiet
        return quiet

    def _stand(self, alert: Alert) -> None:
        """Keeps, for each life of a permit, the priorities of the alerts that stand, and whose worst has changed. An alert may come to be about another permit, or none."""
        subject = subject_of(alert.permit, alert.life)
        if (was := self.about.get(alert.id, subject)) != subject:
            self._put(was, alert.id, None)
        self._put(subject, alert.id, alert.priority if stands(alert) else None)
        if stands(alert):
            self.about[alert.id] = subject
        else:
            self.about.pop(alert.id, None)

    def _put(self, subject: str, id: str, priority: int | None) -> None:
        mine = self.standing.setdefault(subject, {})
        before = min(mine.values(), default=0)
        if priority is None:
            mine.pop(id, None)
        else:
            mine[id] = priority
        if min(mine.values(), default=0) != before:
            self.moved.add(subject)

    def _alarm(self, alert: Alert, told: Told) -> None:
        """Keeps the alarms at which nobody may enter."""
        loud = alert.priority == 1 and any(c.action in ("siren.on", "evacuate") for c in told.asked.get(number(alert), ()))
        if loud and stands(alert):
            self.known.alarms[alert.id] = alert
        else:
            self.known.alarms.pop(alert.id, None)

    def _requests(self, judged: Judged, told: Told, before: Mapping[str, int], moment: int, apart: Sequence[str]) -> list[Output]:
        """What a number asks of other systems, once for each priority that it rises to; what was held back, late or taken back and now stands asks as if it were new."""
        out: list[Output] = []
        for finding in judged.findings if told.asked else ():
            if finding.stop and (alert := self._of(finding, told, apart)) and alert.state != "retracted":
                out += renewed(told, alert, finding, moment)
        ask = [f for f in sorted(judged.findings, key=lambda f: f.start) if f.requests and f.end is None and not f.hold]
        for finding in ask:
            alert = self._of(finding, told, apart)
            if alert is None or alert.end is not None or alert.state not in ACTIVE or alert.late:
                continue
            if not told.asked.get(number(alert)) or before.get(alert.id, 0) > alert.priority:
                out += asking(self.known, told, finding, alert)
        return out

    @staticmethod
    def _of(finding: Finding, told: Told, apart: Sequence[str]) -> Alert | None:
        """The alert that a finding is told as."""
        key, permit = key_of(finding, apart), number_of(finding.permit)
        return next((a for a, k in zip(told.alerts, told.keys, strict=True) if a.start == finding.start and k == key and a.permit == permit and number(a) not in told.one_with), None)

    def _broken(self, key: str, rule: Rule, name: str, wrong: Exception, moment: int) -> list[Output]:
        self.memory.broken[key] = f"{type(wrong).__name__}: {wrong}"
        numbers = {"rule": rule.code, "subject": name, "error": self.memory.broken[key]}
        told = self.memory.told.setdefault(f"SYS-RULE/{key}", Told())
        finding = Finding(self.memory.site.now or moment, (self.memory.site.plant_ref or key,), numbers=numbers)
        return list(settle(self.known, BROKEN, key, (finding,), told, moment, 0)[0])

    def _conclude_all(self, permits: set[str], moment: int) -> list[Output]:
        """The verdicts of these permits and of those whose worst alert is another than before."""
        permits |= self.moved
        self.moved.clear()
        if VERDICT in self.left_out:
            return []
        return [said for permit in sorted(permits & self.memory.site.works.keys()) for said in self._concluded(permit, moment)]

    def _concluded(self, permit: str, moment: int) -> Sequence[Output]:
        """`_conclude`; a verdict that cannot be drawn is our fault, said once, and no other permit's."""
        key = self._key(VERDICT, permit)
        if key in self.memory.broken:
            return NONE
        try:
            return self._conclude(permit, moment)
        except Exception as wrong:
            return self._broken(key, BROKEN, permit, wrong, moment)

    def _conclude(self, permit: str, moment: int) -> list[Output]:
        """The verdict of a permit, if it says anything new."""
        course = self.known.course(permit)
        self._arm(VERDICT, permit, self._key(VERDICT, permit), next_look(self.known, course))
        if course.request is None:
            return []
        fresh = self._verdict(permit, moment)
        old = self.memory.verdicts.get(permit)
        if old is not None and msgspec.structs.replace(fresh, revision=old.revision, known=old.known) == old:
            return []
        self.memory.verdicts[permit] = msgspec.structs.replace(fresh, revision=old.revision + 1 if old else 1)
        return [self.memory.verdicts[permit]]

    def _verdict(self, permit: str, moment: int) -> Verdict:
        course, request = self.known.course(permit), self.known.course(permit).request
        assert request is not None
        found, standing = checks(self.known, course), barriers(self.known, course)
        colour, why, numbers = light(self.known, course, standing, list(self.standing.get(permit, {}).values()))
        area, shop = self.known.atlas.place(course.point_id)
        refs = {r for r in (course.request_ref, course.issued_ref, course.started_ref, *(t.ref for t in course.tests)) if r}
        return Verdict(
            site=self.memory.site.site, permit=number_of(permit), life=life_of(permit), revision=1, known=moment, outcome=outcome(course, found), status=course.status,  # type: ignore[arg-type]
            light=colour, why=both(why, numbers), barriers=standing, checks=found, times=times(course), point=course.point_id, area=area,  # type: ignore[arg-type]
            shop=shop, type=course.type, crew=request.crew, workers=request.workers, guardians=request.guardians,
            valid_from=request.valid_from, valid_to=valid_until(self.known, course) or request.valid_to, evidence=sorted(refs),
        )  # fmt: skip

    def _acted(self, alert: str, moment: int) -> list[Output]:
        code, _, rest = alert.partition(":")
        subject = rest.partition(":")[2].rpartition(":")[0]
        out: list[Output] = []
        self._turn()
        for i, rule in enumerate(RULES):
            if rule.code == code and self._key(i, subject) in self.memory.told:
                out += self._judge(i, subject, moment)
        return out

    # ---- time and memory ----------------------------------------------------------------------------------------

    def _key(self, i: int, name: str) -> str:
        return f"{NAMES.get(i) or KEYS[i]}|{name}"

    def _parse(self, key: str) -> tuple[int, str]:
        rule, _, name = key.partition("|")
        return self._index[rule], name

    def _arm(self, i: int, name: str, key: str, at: int | None) -> None:
        armed = self.memory.armed
        if at is None:
            if key in armed:
                del armed[key]
            return
        at = min(max(at, self.memory.site.now + 1), EVER)
        if armed.get(key) == at:
            return
        armed[key] = at
        heapq.heappush(self.heap, (at, i, name))

    def _no_later(self, i: int, name: str, at: int) -> None:
        key = self._key(i, name)
        armed = self.memory.armed.get(key)
        if armed is None or armed > at:
            self._arm(i, name, key, at)

    def _forget(self, now: int, long: bool) -> list[Output]:
        """Lets go of what ended two days ago and no known permit's work asks for, so that memory is bounded by open permits, devices and people."""
        horizon = now - KEEP
        over = [alert for permit in [p for p in self.memory.site.works if self._is_over(p, horizon)] for alert in self._drop(permit, now)]
        courses = [c for permit in self.memory.site.works if (c := self.known.course(permit)).started and c.request]
        started = [max(c.started.at, c.request.valid_from - LATELY) - HOUR for c in courses if c.started and c.request]
        confined = [at for at, c in zip(started, courses, strict=True) if c.type == CONFINED]
        forget(self.memory.site, min([horizon, *started]), min([horizon, *confined]), long)
        self._let_isolations_go(horizon)
        return list(over)

    def _let_isolations_go(self, horizon: int) -> None:
        """Isolations on which no permit rests, whose own ticket is forgotten, and of which nobody has said anything since a moment (ms)."""
        site = self.memory.site
        needed = {name for permit in site.works for name in relied_on(site, permit)}
        for ticket in [n for n, names in site.relied.items() if n not in site.tickets and not needed & set(names)]:
            del site.relied[ticket]
        own = {name for names in site.relied.values() for name in names}
        for name in [n for n, facts in site.isolations.items() if n not in needed | own and max((f.event.at for f in facts), default=0) < horizon]:
            del site.isolations[name]

    def _is_over(self, permit: str, horizon: int) -> bool:
        course = self.known.course(permit)
        if course.accepted:
            return max(course.accepted.at, course.valid_to or 0) < horizon - LATELY
        if course.request is None:
            site = self.memory.site
            told = (*site.works[permit].facts.values(), *(site.isolations.get(i, ()) for i in site.relied.get(number_of(permit), ())))
            return max((f.event.at for facts in told for f in facts), default=0) < horizon
        return course.valid_to is not None and course.valid_to < horizon - (0 if course.ended else 28 * 24 * HOUR)

    def _drop(self, permit: str, now: int) -> list[Alert]:
        """Forgets a permit; what still stood about it is over."""
        site = self.memory.site
        for table, names in ((site.at_point, list(site.at_point)), (site.named, _names(site.works[permit])), (site.watched, _names(site.works[permit]))):
            for name in names:
                if permit in table.get(name, ()):
                    table[name].remove(permit)
                    if not table[name]:
                        del table[name]
                    if table is site.at_point:
                        self.known.left(name, permit)
        del site.works[permit]
        self.known.placed += 1
        self._drop_ticket(permit)
        self.known.courses.pop(permit, None)
        self.known.fixed.pop(permit, None)
        self.memory.verdicts.pop(permit, None)
        self.standing.pop(permit, None)
        site.worked.pop(permit, None)
        site.overdue.pop(permit, None)
        over: list[Alert] = []
        for look in (LOOK, NEAR):
            self.memory.armed.pop(self._key(look, f"permit|{permit}"), None)
        for i in (*PERMIT_RULES, VERDICT):
            self.memory.armed.pop(self._key(i, permit), None)
            if told := self.memory.told.pop(self._key(i, permit), None):
                over += ended(told, now)
        return over

    def _drop_ticket(self, permit: str) -> None:
        """A number is forgotten with its last life; what an earlier life said stays as long as a later one may have taken it over."""
        site, number_ = self.memory.site, number_of(permit)
        ticket = site.tickets.get(number_)
        if ticket is None:
            return
        ticket.gone = max(ticket.gone, life_of(permit))
        if not any(subject_of(number_, life) in site.works for life in range(1, ticket.lives + 1)):
            site.forget_ticket(number_)

    # ---- questions ----------------------------------------------------------------------------------------------

    def open(self) -> list[Alert]:
        """Every alert that still stands."""
        return list(open_alerts(self.memory.told))

    def decide(self, question: Question) -> Answer:
        """allow, deny or pending at a gate; see `streams.rules.gates.decide`."""
        return decide(self.known, question)

    def snapshot(self) -> bytes:
        """Everything remembered, compressed; `restore` reads it."""
        return zlib.compress(msgspec.msgpack.encode(self.memory), 1)


def _names(work: Work) -> set[str]:
    """Everybody whom a permit's facts name: as worker, guardian, heir of a post or signer."""
    events = [fact.event for name in ("permit.requested", "guard", "issued") for fact in work.all(name)]
    return {who for e in events for who in (named_by(e) if isinstance(e, Requested) else (getattr(e, "worker", ""), getattr(e, "to", ""), getattr(e, "by", "")))}


def restore(raw: bytes) -> Kernel:
    """A kernel as it was when `raw` was taken."""
    memory = msgspec.msgpack.decode(zlib.decompress(raw), type=Memory)
    if memory.version != VERSION:
        raise ValueError(f"version {memory.version}, this is {VERSION}")
    return Kernel(memory.site.site, memory)

