"""The closed words of facts (states, trades, kinds, papers, types …) as a sentence says them, in Chinese and English."""

from __future__ import annotations

import re
from typing import Any, Final

Pair = tuple[str, str]
"""Chinese, English."""

GASES: Final[dict[str, str]] = {
    "methane": "甲烷", "methanol": "甲醇", "chloromethane": "氯甲烷", "dimethyldichlorosilane": "二甲基二氯硅烷", "trimethylchlorosilane": "三甲基氯硅烷", "propane": "丙烷", "hydrogen": "氢气",
    "gasoline": "汽油", "benzene": "苯", "toluene": "甲苯", "h2s": "硫化氢", "co": "一氧化碳", "nh3": "氨", "cl2": "氯气", "hcl": "氯化氢", "benzene_tox": "苯", "o2": "氧", "O2": "氧", "combustible": "可燃气",
}  # fmt: skip
"""Chinese names of the gases that the built-in packs know; another stays as the plant wrote it."""
FORMULAS: Final[dict[str, str]] = {"h2s": "H2S", "co": "CO", "nh3": "NH3", "cl2": "Cl2", "hcl": "HCl", "o2": "oxygen", "O2": "oxygen", "benzene_tox": "benzene"}
"""English names of those that are not called as they are written."""
NAMES: Final[dict[str, Pair]] = {name: (zh, FORMULAS.get(name, name)) for name, zh in GASES.items()}
STEPS: Final[dict[str, Pair]] = {"issued": ("签发", "signed off"), "started": ("开工", "started")}
BEGUN: Final[dict[str, Pair]] = {"issued": ("批准的开工时间为", "was approved for"), "started": ("开工于", "was started at"), "working": ("作业至", "was at work at")}
WAYS: Final[dict[str, Pair]] = {"fast": ("快", "fast"), "slow": ("慢", "slow")}
PERIODS: Final[dict[str, Pair]] = {"UPG-HOL": ("节假日", "a holiday"), "UPG-REST": ("公休日", "a rest day"), "UPG-NIGHT": ("夜间", "night"), "UPG-EVENT": ("特殊时段", "a special period")}
ENDS: Final[dict[str, Pair]] = {
    "cancelled": ("撤销", "was called off"), "accepted": ("验收", "was accepted"), "finished": ("完工", "was finished"), "rejected": ("退回", "was sent back"), "expired": ("失效", "had run out"),
}  # fmt: skip
TRADES: Final[dict[str, Pair]] = {"welding": ("焊接", "welding"), "height": ("高处", "height"), "electrician": ("电工", "electrician"), "lifting": ("起重", "lifting")}
STATES: Final[dict[str, Pair]] = {"applied": ("已隔离", "applied"), "verified": ("已确认", "verified"), "removed": ("已拆除", "removed"), "opened": ("已打开", "opened")}
STATUSES: Final[dict[str, Pair]] = {
    "revoked": ("吊销", "revoked"), "re-examination": ("待复审", "due for re-examination"), "review overdue": ("复审逾期", "review overdue"), "valid": ("有效", "valid"),
}  # fmt: skip
MEETINGS: Final[dict[str, Pair]] = {
    "gas_discharge": ("气体排放", "gas discharge"), "liquid_discharge": ("液体排放", "liquid discharge"), "solvent": ("溶剂作业", "solvent"), "painting": ("涂刷", "painting"), "dust": ("粉尘作业", "dust"),
    "train": ("火车通行", "train"), "sampling": ("取样", "sampling"), "water_draw": ("切水", "drawing off water"), "space": ("同一空间", "same space"), "blinding": ("盲板作业", "blinding"), "line": ("同一管线", "same line"), "hot": ("动火", "hot work"),
    "boom": ("吊臂范围", "boom"), "duration": ("同处同时", "same place and time"), "above": ("上下交叉", "one above the other"),
}  # fmt: skip
DEVICES: Final[dict[str, Pair]] = {"cameras": ("摄像头", "cameras"), "detectors": ("气体探测器", "detectors"), "fans": ("风机", "fans"), "stations": ("风速站", "wind stations")}
CHANGES: Final[dict[str, Pair]] = {"content": ("内容", "content"), "scope": ("范围", "scope"), "place": ("地点", "place"), "time": ("时间", "time")}
PAPERS: Final[dict[str, Pair]] = {
    "licence": ("资质", "licence"), "insurance": ("保险", "insurance"), "agreement": ("安全协议", "agreement"), "contract": ("合同", "contract"), "training": ("培训", "training"), "qualification": ("资格", "qualification"), "medical": ("体检", "medical"), "unknown": ("未知", "unknown"),
}  # fmt: skip
EVIDENCE: Final[dict[str, Pair]] = {
    "risk": ("风险辨识", "risk"), "protection": ("防护措施", "protection"), "initial": ("开工", "initial"), "finish": ("完工", "finish"), "before": ("整改前", "before"), "after": ("整改后", "after"), "voice": ("语音", "voice"),
    "panorama": ("全景", "panorama"), "film": ("视频", "film"), "asset": ("设备码", "asset code"), "distance": ("近距确认", "closeness"), "report": ("报告", "report"),
}  # fmt: skip
HAZARDS: Final[dict[str, Pair]] = {
    "lightning": ("雷电", "lightning"), "typhoon": ("台风", "typhoon"), "gale": ("大风", "gale"), "rain": ("暴雨", "rain"), "snow": ("冰雪", "snow"), "fog": ("大雾", "fog"), "hail": ("冰雹", "hail"),
    "heat": ("高温", "heat"), "cold": ("寒潮", "cold"), "sand": ("沙尘", "sand"),
}  # fmt: skip
CHAINS: Final[dict[str, Pair]] = {"link": ("链节被取走或改动", "a link was taken out or changed"), "rows": ("所存记录与写入时不符", "the stored rows are not those that were written")}
COLOURS: Final[dict[str, Pair]] = {"blue": ("蓝色", "blue"), "yellow": ("黄色", "yellow"), "orange": ("橙色", "orange"), "red": ("红色", "red")}
ANSWERS: Final[dict[str, Pair]] = {"allow": ("允许", "allow"), "deny": ("拒绝", "deny"), "pending": ("待定", "pending")}
PARTS: Final[dict[str, Pair]] = {"overtime": ("加班", "overtime"), "violations": ("违章", "violations"), "eap": ("心理", "EAP")}
TYPES: Final[dict[str, Pair]] = {
    "01": ("特级动火", "special hot work"), "02": ("一级动火", "first-class hot work"), "03": ("二级动火", "second-class hot work"), "10": ("临时用电", "temporary power"), "21": ("高处Ⅰ级", "work at height I"),
    "22": ("高处Ⅱ级", "work at height II"), "23": ("高处Ⅲ级", "work at height III"), "24": ("高处Ⅳ级", "work at height IV"), "30": ("动土", "excavation"), "40": ("断路", "road closure"), "50": ("盲板抽堵", "blinding"),
    "61": ("一级吊装", "first-class lifting"), "62": ("二级吊装", "second-class lifting"), "63": ("三级吊装", "third-class lifting"), "70": ("受限空间", "confined space"),
}  # fmt: skip

SAID_IN: Final[dict[str, dict[str, Pair]]] = {
    "trade": TRADES, "held": TRADES, "state": STATES, "status": STATUSES, "kind": MEETINGS, "kinds": DEVICES, "what": CHANGES, "papers": PAPERS, "missing": EVIDENCE, "first": EVIDENCE, "again": EVIDENCE,
    "stage": EVIDENCE, "hazard": HAZARDS, "colour": COLOURS, "was": ANSWERS, "now": ANSWERS, "parts": PARTS, "type": TYPES, "types": TYPES, "asked": TYPES, "needed": TYPES, "step": STEPS, "how": ENDS, "way": WAYS, "begun": BEGUN, "also": PERIODS, "detail": CHAINS, "note": TYPES, "gas": NAMES, "values": NAMES,
}  # fmt: skip
"""Place in a sentence → the words that may stand there; another stays as it was told."""


def spoken(place: str, value: Any, lang: int) -> Any:
    """A value as a sentence says it (0 Chinese, 1 English): each of its words that is a closed one by its name, a list with the comma of the language."""
    words = SAID_IN.get(place)
    if words is None or not isinstance(value, str):
        return value
    return " → ".join(("、" if not lang else ", ").join(_part(words, part, lang) for part in side.split(", ")) for side in value.split(" → "))


def _part(words: dict[str, Pair], part: str, lang: int) -> str:
    """One word, or a word with its number (overtime 50)."""
    if part in words:
        return words[part][lang]
    m = re.fullmatch(r"(\S+) ([\d.]+)", part)
    return f"{words[m[1]][lang]} {m[2]}" if m and m[1] in words else part
