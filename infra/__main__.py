"""The `permitwatch` command: one sub-command a room, and what runs, plays, checks and judges the whole."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from streams.broker import Wrong, security, why_not

if TYPE_CHECKING:
    from streams.routes import Routing

EPILOG = """examples:
  permitwatch up                                   the whole system with a plant in a box
  permitwatch up --plant my/plant.toml             the whole system for a real plant
  permitwatch up --story S26_lel_12_methane.toml --since 09:30:00   the box acts out a story on real wires
  permitwatch check                                what is wrong, and how to mend it
  permitwatch play tests/scenarios/*.toml          judge stories in milliseconds
  permitwatch play --write tests/told.txt tests/scenarios/*.toml     ... and write down all that was said
  permitwatch play --through-kafka S02.toml        tell a story through the running system
  permitwatch replay --since 2026-11-22T08:00+08:00
  permitwatch dead-letters                         what was refused, and why
"""


COLLECT = 50_000, 20, 20
"""Most of what a kernel keeps lives for days; looking at all of it every few hundred new objects takes a tenth of its time."""


def main(argv: list[str] | None = None) -> int:
    """Runs a sub-command; returns its exit status."""
    arguments = parser().parse_args(argv)
    if not hasattr(arguments, "run"):
        parser().print_help()
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    gc.set_threshold(*COLLECT)
    try:
        security()
        return int(arguments.run(arguments) or 0)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except Wrong as wrong:
        print(f"permitwatch: {wrong}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser("permitwatch", description="For every minute of every dangerous job: prove that it was allowed, tested, guarded and watched, or say so within a second.\n每一分钟的危险作业:证明它被许可、检测、监护、看见,否则一秒内说出来。", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = p.add_subparsers(title="commands", metavar="COMMAND")
    _system(commands)
    _rooms(commands)
    _judging(commands)
    return p


def _command(commands, name: str, text: str, run, *options):  # type: ignore[no-untyped-def]
    c = commands.add_parser(name, help=text, description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for flags, settings in options:
        c.add_argument(*flags, **settings)
    c.set_defaults(run=run)


def _file(said: str) -> Path:
    """A file that is there."""
    path = Path(said)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {said}")
    return path


def _page(said: str) -> Path:
    """A file to be written: its folder is there, which is better known before an hour's work than after it."""
    path = Path(said)
    if not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it first")
    return path


def _o(*flags: str, **settings: object) -> tuple[tuple[str, ...], dict[str, object]]:
    return flags, settings


DATA = _o("--data", type=Path, default=Path("var"), help="folder of Kafka's log, ClickHouse, the outbox and the logs")
OFFSET = _o("--port-offset", type=int, default=0, help="moves every port by so much")
KAFKA = _o("--kafka", default=os.environ.get("PERMITWATCH_KAFKA", "127.0.0.1:9092"), help="bootstrap address (PERMITWATCH_KAFKA)")
SQL = _o("--sql", default=os.environ.get("PERMITWATCH_SQL", ""), help="ClickHouse: http://user:password@host:port (PERMITWATCH_SQL; else that of `up` in the folder var)")


def _system(commands) -> None:  # type: ignore[no-untyped-def]
    _command(commands, "up", "the whole system on this machine", _up, DATA, OFFSET, _o("--plant", type=Path, help="a real plant's plant.toml instead of the box"),
             _o("--scale", type=float, default=0.1, help="of the plant in the box; 1 is the whole reference plant"), _o("--seed", type=int, default=7, help="of the random day"),
             _o("--story", type=_file, help="the box acts out this story on its wires instead of a random day"), _o("--since", default="", metavar="HH:MM:SS", help="the moment of the story that is now; what came before is pushed at once"),
             _o("--shadow", default="", metavar="PACK", help="judge by this pack too, silently"))  # fmt: skip
    _command(commands, "check", "tries every part and says what is wrong and how to mend it", _check, DATA, OFFSET, KAFKA, SQL, _o("--plant", type=Path, help="check this plant.toml too"))
    _command(commands, "topics", "creates the topics on any Kafka", _topics, KAFKA, _o("--partitions", type=int, default=4), _o("--replication", type=int, default=1), _o("--prefix", default=os.environ.get("PERMITWATCH_PREFIX", ""), help="of topic names (PERMITWATCH_PREFIX)"))
    _command(commands, "migrate", "brings ClickHouse's schema up to date", _migrate, SQL)
    _command(commands, "schema", "prints the JSON Schema of everything on the wire", _schema)


def _rooms(commands) -> None:  # type: ignore[no-untyped-def]
    _command(commands, "ingest", "reads the wires and the HTTP door into Kafka", _ingest, KAFKA, DATA, _o("--plant", type=Path, required=True), _o("--host", default=os.environ.get("PERMITWATCH_HOST", "127.0.0.1")),
             _o("--port", type=int, default=8090))  # fmt: skip
    _command(commands, "streams", "one step of the pipeline", _streams, _o("step", choices=["normalise", "correlate", "archive", "notify", "shadow"], help="shadow: judges by the pack in PERMITWATCH_SHADOW_PACK, tells nobody"))
    _command(commands, "sql", "the embedded ClickHouse", _sql, DATA, _o("--host", default="127.0.0.1"), _o("--port", type=int, default=8123))
    _command(commands, "dashboards", "the screens", _dashboards, KAFKA, SQL, _o("--host", default=os.environ.get("PERMITWATCH_HOST", "127.0.0.1")), _o("--port", type=int, default=8050))
    _command(commands, "plant", "the plant in a box: simulated devices that speak the real protocols", _plant, _o("--plant", type=Path, required=True), _o("--scale", type=float, default=0.1),
             _o("--seed", type=int, default=7), _o("--door", default="http://127.0.0.1:8090"), _o("--story", type=_file, help="act out this story instead of a random day"), _o("--since", default="", metavar="HH:MM:SS"))  # fmt: skip


def _judging(commands) -> None:  # type: ignore[no-untyped-def]
    _command(commands, "play", "judges stories: what was expected, what came and when", _play, KAFKA, _o("stories", nargs="+", type=_file), _o("--through-kafka", action="store_true", help="through the running Kafka and Faust"), _o("--write", type=Path, help="write all that was said into this file"),
             _o("--prefix", default="", help="of topic names"), _o("--verbose", action="store_true", help="print every alert"))  # fmt: skip
    _command(commands, "replay", "judges a span of the timeline again and compares", _replay, KAFKA, SQL, _o("--from", dest="source", choices=["kafka", "clickhouse"], default="kafka"),
             _o("--since", help="ISO 8601; default: everything kept"), _o("--until", help="ISO 8601"), _o("--prefix", default=""), _o("--out", type=_page, help="write the outputs here, one JSON a line"),
             _o("--pack", default="", help="what if: another pack; which alerts would come, go or change priority"),
             _o("--permits-only", action="store_true", help="what if: permits, people and the site without the streams of sensors, tags and recorders: a year in minutes; rules that speak of silence are left out"))  # fmt: skip
    _command(commands, "verify", "follows the archive's hash chain and names the first broken link", _verify, SQL, _o("--report", default="", metavar="DOOR", help="tell the plant (SYS-CHAIN) through this ingest door"))
    _command(commands, "dead-letters", "lists, shows and sends again what was refused", _dead, KAFKA, _o("--show", metavar="PARTITION:OFFSET"), _o("--resend", metavar="PARTITION:OFFSET"), _o("--prefix", default=""))
    _rules(commands)
    _command(commands, "conform", "plays one story for each alarm type of AQ 3064.2 Table A.4 and AQ 3064.3", _conform, STORIES)
    _command(commands, "fuzz", "events of every kind, absurd ones too, the whole way in one process: nothing may raise, no other permit may notice", _fuzz, _o("--events", type=int, default=20_000, help="how many"),
             _o("--seed", type=int, default=1, help="the same seed makes the same events"), _o("--write", type=_page, default=None, metavar="FILE", help="its page: seed, minutes, counts"))  # fmt: skip
    _command(commands, "chaos", "kills every process under load and shows that nothing is lost and nothing counted twice", _chaos, _o("--data", type=Path, default=Path("var/chaos"), help="folder of the trial system"),
             _o("--port-offset", type=int, default=3000), _o("--stories", type=Path, default=Path("tests/scenarios")), _o("--seed", type=int, default=1), _o("--rounds", type=int, default=1), _o("--outage", type=float, default=60, help="seconds that Kafka and ClickHouse stay away"))  # fmt: skip
    _command(commands, "bench", "speed and memory on this machine", _bench, DATA, _o("what", nargs="?", choices=["speed", "truth", "score"], default="speed", help="speed and memory; recall and precision on random plant-days; or another system's score on such days"), _o("--quick", action="store_true"),
             _o("--write", type=_page, help="speed: write the table into this Markdown file; truth: publish the days, their truth and the score in this folder"),
             _o("--doc", type=_file, help="truth: put the score between the marks in this Markdown file"), _o("--alerts", type=_file, help="score: what the other system raised, one JSON a line"), _o("--truth", type=_file, help="score: truth.jsonl"),
             _o("--days", type=int, default=3, help="truth: how many plant-days"), _o("--permits", type=int, default=60, help="truth: permits on a workday"), _o("--seed", type=int, default=1, help="truth: the seed"),
             _o("--share", type=float, default=0.5, help="truth: share of the permits in which something goes wrong"))  # fmt: skip


STORIES = _o("--stories", type=Path, default=Path("tests/scenarios"), help="folder of stories")
PACK = _o("--pack", default="GB", help="a built-in pack or a pack file")


def _rules(commands) -> None:  # type: ignore[no-untyped-def]
    book = commands.add_parser("rules", help="lists and explains the rules; checks, compares and applies packs", epilog=RULES_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = book.add_subparsers(title="verbs", metavar="VERB", required=True)
    lang = _o("--lang", choices=["zh", "en"], default="en")
    _command(verbs, "list", "one line a code", _rules_list, PACK, lang)
    _command(verbs, "explain", "everything about one code", _rules_explain, _o("code"), PACK, STORIES)
    _command(verbs, "check", "reads packs and says what is wrong with them", _rules_check, _o("packs", nargs="+", type=Path))
    _command(verbs, "diff", "what changes from one pack to another", _rules_diff, _o("one"), _o("two"))
    _command(verbs, "apply", "puts a pack into force at a moment, as an event in the log", _rules_apply, _o("pack", type=Path), _o("--since", default="", help="ISO 8601; default: now"), _o("--door", default="http://127.0.0.1:8090"))
    _command(verbs, "sign", "signs the waivers of a pack; where waivers.pub lies beside a pack, none stands unsigned", _rules_sign, _o("pack", type=Path), _o("--key", type=Path, required=True, help="Ed25519 private key, PEM"))
    _command(verbs, "catalogue", "the rule catalogue as Markdown", _rules_catalogue, PACK, STORIES, _o("--write", type=_page))


RULES_EPILOG = """examples:
  permitwatch rules list --lang zh
  permitwatch rules explain GAS-STALE
  permitwatch rules check my/pack.toml
  permitwatch rules diff GB my/pack.toml
  permitwatch replay --pack my/pack.toml --since 2026-11-01       what would have come and gone
  permitwatch rules apply my/pack.toml --since 2026-12-01T00:00+08:00
  permitwatch rules sign my/pack.toml --key waivers.key             openssl genpkey -algorithm ed25519 -out waivers.key
"""


def _with_packs(work: Callable[[], int]) -> int:
    from streams.packs import PackError

    try:
        return work()
    except (PackError, KeyError) as wrong:
        print(f"permitwatch rules: {wrong}", file=sys.stderr)
        return 2


def _rules_list(a: argparse.Namespace) -> int:
    from infra.rules import list_rules, packs_named

    return _with_packs(lambda: list_rules(packs_named([a.pack])[0], a.lang))


def _rules_explain(a: argparse.Namespace) -> int:
    from infra.rules import explain, packs_named

    return _with_packs(lambda: explain(a.code, packs_named([a.pack])[0], a.stories))


def _rules_check(a: argparse.Namespace) -> int:
    from infra.rules import check_packs

    return check_packs(a.packs)


def _rules_diff(a: argparse.Namespace) -> int:
    from infra.rules import diff, packs_named

    return _with_packs(lambda: diff(*packs_named([a.one, a.two])))


def _rules_apply(a: argparse.Namespace) -> int:
    from infra.rules import apply

    return apply(a.pack, a.since, a.door)


def _rules_sign(a: argparse.Namespace) -> int:
    from infra.rules import sign_waivers

    return _with_packs(lambda: sign_waivers(a.pack, a.key))


def _rules_catalogue(a: argparse.Namespace) -> int:
    from infra.rules import catalogue, packs_named

    text = catalogue(packs_named([a.pack])[0], a.stories)
    if a.write:
        a.write.write_text(text, encoding="utf-8")
    else:
        print(text)
    return 0


def _conform(a: argparse.Namespace) -> int:
    from infra.rules import conform

    return conform(a.stories)


def _up(a: argparse.Namespace) -> int:
    from infra.up import Ports, System, up

    return up(System(a.data, Ports(a.port_offset), a.plant, a.scale, a.seed, story=a.story, since=a.since, shadow=a.shadow))


def _check(a: argparse.Namespace) -> int:
    from infra.check import check

    return check(a.data, a.port_offset, a.plant)


def _topics(a: argparse.Namespace) -> int:
    from infra.kafka.topics import NoKafka, create_topics

    try:
        print("created:", ", ".join(create_topics(a.kafka, a.prefix, a.partitions, a.replication, patience=5)) or "nothing, all are there")
    except NoKafka as wrong:
        sys.exit(f"permitwatch topics: {wrong}")
    return 0


def _migrate(a: argparse.Namespace) -> int:
    from sql.store import Store, StoreError

    try:
        print("applied:", ", ".join(Store(_sql_of(a)).migrate()) or "nothing, the schema is up to date")
    except StoreError as wrong:
        sys.exit(f"permitwatch migrate: {wrong}")
    return 0


def _schema(a: argparse.Namespace) -> int:
    import json

    from streams.outputs import schema

    print(json.dumps(schema(), indent=1, ensure_ascii=False))
    return 0


def _sql_of(a: argparse.Namespace) -> str:
    """The ClickHouse that is named, or that of the data folder here."""
    from infra.up import Ports, sql_url

    return str(a.sql) or sql_url(Path(os.environ.get("PERMITWATCH_DATA", "var")), Ports(getattr(a, "port_offset", 0)))


def _ingest(a: argparse.Namespace) -> int:
    from ingest.run import Settings, run

    deciders = [f"http://{d}" for d in os.environ.get("PERMITWATCH_DECIDE", "127.0.0.1:8091").split(",")]
    data = Path(os.environ.get("PERMITWATCH_DATA", a.data))
    refusers = [f"http://{d}" for d in os.environ.get("PERMITWATCH_REFUSED", "127.0.0.1:8095,127.0.0.1:8091").split(",")]
    run(Settings(a.plant, data / "outbox.db", a.kafka, os.environ.get("PERMITWATCH_PREFIX", ""), a.host, a.port, deciders, refusers))
    return 0


def _answers_at(name: str, default: str) -> tuple[str, int]:
    """The address at which a step answers the other parts."""
    host, _, port = os.environ.get(name, default).split(",")[0].rpartition(":")
    return host.strip("[]"), int(port)


def _streams(a: argparse.Namespace) -> int:
    sys.argv = [sys.argv[0]]
    from streams.shell import run

    match a.step:
        case "normalise":
            from streams.normalise import Normalise

            run(Normalise(_answers_at("PERMITWATCH_REFUSED", "127.0.0.1:8095")))
        case "correlate":
            from streams.correlate import Correlate

            run(Correlate(_answers_at("PERMITWATCH_DECIDE", "127.0.0.1:8091")))
        case "shadow":
            from streams.correlate import Correlate
            from streams.packs import PackError, find_pack

            try:
                run(Correlate(None, find_pack(os.environ.get("PERMITWATCH_SHADOW_PACK", ""), Path())))
            except PackError as wrong:
                sys.exit(f"permitwatch streams shadow: {wrong}")
        case "archive":
            from streams.archive import Archive

            run(Archive(_sql_of(argparse.Namespace(sql=os.environ.get("PERMITWATCH_SQL", "")))))
        case "notify":
            from streams.notify import Notify

            file = Path(os.environ.get("PERMITWATCH_DATA", "var")) / "notify.jsonl"
            run(Notify(file, _routing(file)))
    return 0


def _routing(file: Path) -> Routing:
    """receivers.toml where PERMITWATCH_RECEIVERS names one, or the log and PERMITWATCH_WEBHOOKS."""
    from streams.notify import from_environment
    from streams.routes import RouteError, read_routing

    named = os.environ.get("PERMITWATCH_RECEIVERS", "")
    if not named:
        return from_environment(file, [h for h in os.environ.get("PERMITWATCH_WEBHOOKS", "").split(",") if h])
    try:
        return read_routing(Path(named))
    except (RouteError, OSError) as wrong:
        sys.exit(f"permitwatch streams notify: {wrong}")


def _sql(a: argparse.Namespace) -> int:
    from sql.server import serve

    serve(Path(os.environ.get("PERMITWATCH_DATA", a.data)) / "clickhouse", a.host, a.port)
    return 0


def _dashboards(a: argparse.Namespace) -> int:
    from dashboards.run import serve

    serve(a.host, a.port, a.kafka, _sql_of(a), os.environ.get("PERMITWATCH_PREFIX", ""))
    return 0


def _plant(a: argparse.Namespace) -> int:
    from infra.plant.box import run
    from infra.plant.reference import SOURCES

    run(a.plant, a.scale, a.seed, a.door, {s: os.environ.get(f"PERMITWATCH_TOKEN_{s.upper()}", "") for s in SOURCES}, a.story, a.since)
    return 0


def _let_in(kafka: str) -> None:
    """Ends a command with one sentence where Kafka does not let it in. Raises Wrong."""
    from streams.desk import takes_us

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it is said below, in one sentence
    if not asyncio.run(takes_us(kafka)):
        raise Wrong(why_not(kafka, security()))


def _play(a: argparse.Namespace) -> int:
    from infra.play import play

    if a.through_kafka:
        _let_in(a.kafka)
    return play(a.stories, a.through_kafka, a.kafka, a.prefix, a.verbose, a.write)


def _replay(a: argparse.Namespace) -> int:
    from infra.replay import replay

    if a.permits_only and not a.pack:
        print("permitwatch replay: --permits-only goes with --pack: without the streams nothing can be the same byte for byte", file=sys.stderr)
        return 2
    if a.source == "kafka":
        _let_in(a.kafka)
    return replay(a.source, a.kafka, _sql_of(a), a.since, a.until, a.prefix, a.out, a.pack, a.permits_only)


def _verify(a: argparse.Namespace) -> int:
    from infra.verify import verify

    return verify(_sql_of(a), a.report)


def _dead(a: argparse.Namespace) -> int:
    from infra.dead_letters import dead_letters

    _let_in(a.kafka)
    return dead_letters(a.kafka, a.prefix, a.show, a.resend)


def _fuzz(a: argparse.Namespace) -> int:
    from infra.fuzz import fuzz

    return fuzz(a.events, a.seed, a.write)


def _chaos(a: argparse.Namespace) -> int:
    from infra.chaos import chaos

    return chaos(a.data, a.port_offset, a.stories, a.seed, a.rounds, a.outage)


def _bench(a: argparse.Namespace) -> int:
    if a.what == "truth":
        from infra.truth.bench import truth

        return truth(a.data.absolute() / "truth", a.days, a.permits, a.seed, a.share, a.write, a.doc)
    if a.what == "score":
        from infra.truth.judged import score_other

        if not a.alerts or not a.truth:
            print("permitwatch bench score: name both files: --alerts raised.jsonl --truth out/truth.jsonl", file=sys.stderr)
            return 2
        return score_other(a.alerts, a.truth)
    from infra.bench import bench

    return bench(a.data, a.quick, a.write)


if __name__ == "__main__":
    sys.exit(main())
