"""The reference plant of 1,286 people (`domain.md` 4.1), whole or scaled, written as the files a real plant would have."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

SHOPS = [("W1", "合成一车间", "synthesis 1"), ("W2", "精馏车间", "distillation"), ("W3", "罐区", "tank farm"), ("W4", "公用工程", "utilities"),
         ("W5", "包装车间", "packaging"), ("W6", "污水处理", "waste water")]  # fmt: skip
AREAS = [("101", "流化床", "fluid bed"), ("102", "洗涤", "scrubbing"), ("103", "粗单体", "crude monomer"), ("104", "水解", "hydrolysis"), ("201", "一精馏", "column 1"),
         ("202", "二精馏", "column 2"), ("203", "裂解", "cracking"), ("301", "氯甲烷罐区", "chloromethane tanks"), ("302", "甲醇罐区", "methanol tanks"),
         ("303", "装卸台", "loading"), ("401", "锅炉房", "boilers"), ("402", "空分", "air separation"), ("501", "包装线", "packing line"), ("502", "成品库", "warehouse"),
         ("601", "调节池", "equalisation"), ("602", "生化池", "aeration")]  # fmt: skip
GASES = [("methane", "combustible", "%LEL"), ("chloromethane", "combustible", "%LEL"), ("methanol", "combustible", "%LEL"), ("hydrogen", "combustible", "%LEL"),
         ("o2", "oxygen", "%vol"), ("hcl", "toxic", "mg/m3"), ("co", "toxic", "ppm")]  # fmt: skip
PER_PANEL = 40
CLOCKS = {"dcs": 240_000, "panel-1": 400, "CAM-003": -100_000}
"""By how many ms the clocks of the box are off: a DCS that nobody set for long, a good panel, a camera."""
CLOCK_REGISTER = 900
SOURCES = {
    "ptw": ["permit.*", "isolation", "guard", "hazard", "activity", "clip", "command.done", "decided"], "badges": ["scan", "guard", "decided"], "tags": ["positions", "tag"],
    "cameras": ["detection", "camera.beat", "clip", "probe"], "weather": ["weather", "warning"], "hr": ["worker", "certificate", "hr", "authorisation", "record", "registry", "contractor"],
    "operator": ["action", "hazard", "device", "equipment", "special", "production", "activity", "pack", "chain", "command.done"], "gateway": ["frame", "clock"],
}  # fmt: skip
"""Source → the kinds of events that its token may send."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything at a scale (1 = the whole plant)."""

    scale: float

    def of(self, whole: int, least: int = 1) -> int:
        return max(least, round(whole * self.scale))


def write_plant(folder: Path, scale: float, modbus_port: int, opcua_port: int) -> Path:
    """Writes plant.toml, points.csv and places.csv; returns the path of plant.toml. The same scale gives the same files."""
    size = Size(scale)
    folder.mkdir(parents=True, exist_ok=True)
    areas = _areas(size.of(38, 6))
    points = _points(areas, size.of(640, 36))
    channels = _channels(size, points, areas)
    panels = math.ceil(size.of(420, 40) / PER_PANEL)
    write_csv(folder / "points.csv", channels)
    write_csv(folder / "places.csv", [{k: v for k, v in p.items() if k != "index"} for p in points])
    (folder / "plant.toml").write_text(_toml(areas, points, panels, modbus_port, opcua_port), encoding="utf-8")
    return folder / "plant.toml"


def _areas(n: int) -> list[dict[str, object]]:
    out = []
    for i in range(n):
        code, zh, en = AREAS[i % len(AREAS)]
        suffix = "" if i < len(AREAS) else f"-{i // len(AREAS) + 1}"
        shop = SHOPS[(int(code[0]) - 1) % len(SHOPS)][0]
        columns = max(3, math.ceil(math.sqrt(n * 1.6)))
        out.append({"id": code + suffix, "shop": shop, "zh": zh + suffix, "en": en + suffix, "x": (i % columns) * 90.0, "y": (i // columns) * 75.0, "w": 76.0, "h": 60.0})
    return out


def _points(areas: list[dict[str, object]], n: int) -> list[dict[str, object]]:
    """Work points on a grid within their areas, each with a camera and two detectors nearby."""
    out = []
    for i in range(n):
        area, k = areas[i % len(areas)], i // len(areas)
        x, y = float(area["x"]) + 12 + (k % 4) * 17, float(area["y"]) + 12 + (k // 4 % 4) * 12  # type: ignore[arg-type]
        out.append({"id": f"{area['id']}-P{k + 1:02d}", "area": area["id"], "x": x, "y": y, "z": 0.0, "radius": 15, "index": i, "cameras": "", "detectors": ""})
    return out


def _channels(size: Size, points: list[dict[str, object]], areas: list[dict[str, object]]) -> list[dict[str, object]]:
    detectors, cameras = size.of(420, 40), size.of(184, 16)
    rows: list[dict[str, object]] = []
    for i in range(detectors):
        gas, kind, unit = GASES[i % len(GASES)] if i % 10 >= 7 else GASES[i % 4]
        tag, point = f"{'AT' if kind == 'combustible' else 'AI'}-{i + 1:04d}", points[i % len(points)]
        slot = i % PER_PANEL
        rows.append({"tag": tag, "source": f"panel-{i // PER_PANEL + 1}", "kind": kind, "unit": unit, "area": point["area"], "gas": "" if kind == "oxygen" else gas,
                     "low": 0, "high": {"%LEL": 100, "%vol": 30, "mg/m3": 100, "ppm": 500}[unit], "register": 2 * slot, "status_register": 2 * slot + 1, "type": "uint16", "scale": 0.01})  # fmt: skip
    for point in points:
        i = int(str(point["index"]))
        point["cameras"] = f"CAM-{i % cameras + 1:03d}"
        point["detectors"] = str(rows[i % detectors]["tag"])
    for i in range(size.of(1000, 40)):
        rows.append({"tag": f"TI-{i + 1:04d}", "source": "dcs", "kind": "process", "unit": "degC", "area": areas[i % len(areas)]["id"], "node": f"ns=2;s=TI-{i + 1:04d}"})
    return rows


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    """A table as `streams.plant.read_table` reads it: lists separated by spaces."""
    columns = list(dict.fromkeys(k for row in rows for k in row))
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, columns)
        writer.writeheader()
        writer.writerows({k: " ".join(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows)


def _toml(areas: list[dict[str, object]], points: list[dict[str, object]], panels: int, modbus_port: int, opcua_port: int) -> str:
    used = {str(a["shop"]) for a in areas}
    out = ["# The reference plant: organosilicon, 1,286 people. All figures assumed; see docs/operators.md.", 'site = "P1286"', 'zh = "华东有机硅"', 'en = "East China Silicones"',
           'timezone = "Asia/Shanghai"', 'pack = "GB"', "", "[push_delay]", "cameras = 2000", "tags = 2000", "weather = 2000", "", "[policy]", 'commands = "dry-run"', ""]  # fmt: skip
    out += [f'[[shops]]\nid = "{i}"\nzh = "{zh}"\nen = "{en}"\n' for i, zh, en in SHOPS if i in used]
    out += ["[[areas]]\n" + "\n".join(f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v}" for k, v in a.items()) + "\n" for a in areas]
    out += [f'[[doors]]\nid = "D-{p["id"]}"\npoints = ["{p["id"]}"]\n' for p in points]
    out += [f'[[doors]]\nid = "GATE-{a["id"]}"\nareas = ["{a["id"]}"]\n' for a in areas]
    out += [f'[[modbus]]\nname = "panel-{i + 1}"\naddress = "127.0.0.1:{modbus_port + i}"\nclock = {{ device = "GDS-{i + 1}", register = {CLOCK_REGISTER} }}\n' for i in range(panels)]
    out += [f'[[opcua]]\nname = "dcs"\nendpoint = "opc.tcp://127.0.0.1:{opcua_port}/plant/"\n']
    out += [f'[[http]]\nname = "{s}"\ntoken_env = "PERMITWATCH_TOKEN_{s.upper()}"\nkinds = {json.dumps(kinds)}\n' for s, kinds in SOURCES.items()]
    return "\n".join(out) + "\n"
