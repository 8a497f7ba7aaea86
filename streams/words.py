"""Closed words: gases, units, behaviours, types, trades, steps, statuses and days, each with the Chinese and English spellings that plants write."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

FOREVER: Final = date(9999, 12, 31)
"""No end: a value for certificates and contractors' papers only."""
ENDLESS: Final = frozenset({"长期", "永久", "长期有效", "永久有效", "无期限", "无限期", "permanent", "forever", "noend", "unlimited", "indefinite"})

GAS: Final[dict[str, tuple[str, ...]]] = {
    "o2": ("oxygen", "氧", "氧气", "氧含量", "氧浓度"),
    "combustible": ("lel", "ex", "可燃", "可燃气", "可燃气体", "flammable", "combustibles", "combustiblegas"),
    "methane": ("ch4", "甲烷", "瓦斯", "天然气"),
    "methanol": ("ch3oh", "ch4o", "甲醇"),
    "chloromethane": ("ch3cl", "氯甲烷", "一氯甲烷", "methylchloride"),
    "dimethyldichlorosilane": ("二甲基二氯硅烷", "二甲", "m2", "ddm"),
    "trimethylchlorosilane": ("三甲基氯硅烷", "三甲", "m3", "tmcs"),
    "propane": ("c3h8", "丙烷"),
    "hydrogen": ("h2", "氢", "氢气"),
    "gasoline": ("汽油", "petrol"),
    "benzene": ("c6h6", "苯"),
    "toluene": ("c7h8", "甲苯"),
    "h2s": ("硫化氢", "hydrogensulfide", "hydrogensulphide"),
    "co": ("一氧化碳", "carbonmonoxide"),
    "nh3": ("氨", "氨气", "液氨", "ammonia"),
    "cl2": ("氯", "氯气", "液氯", "chlorine"),
    "hcl": ("氯化氢", "盐酸", "hydrogenchloride"),
    "benzene_tox": ("苯毒性", "benzenetoxic"),
    "nitrogen": ("n2", "氮", "氮气"), "argon": ("ar", "氩", "氩气"), "helium": ("he", "氦", "氦气"),
}
NO_GAS: Final = frozenset({"温度", "湿度", "相对湿度", "压力", "大气压", "风速", "temperature", "temp", "humidity", "rh", "pressure"})
"""What meters write beside gases."""
INERT: Final = frozenset({"nitrogen", "argon", "helium"})
"""Harmless but for the oxygen that they take the place of, and oxygen is measured."""
UNIT: Final[dict[str, tuple[str, ...]]] = {
    "%LEL": ("lel", "lel%", "%lfl", "lfl", "lfl%", "%爆炸下限"),
    "%vol": ("vol", "vol%", "%v/v", "v/v%", "%(v/v)", "%体积", "体积%", "%v"),
    "ppm": ("ppmv", "μmol/mol", "umol/mol"),
    "ppb": ("ppbv", "nmol/mol"),
    "mg/m3": ("mg/m^3", "mg/m³", "mg/立方米", "毫克/立方米", "毫克每立方米"),
}
WORK_SEEN: Final = ("hot_work", "welding", "cutting", "grinding", "flame")
"""Spellings of hot work seen by a camera; the last four are kept as its `what`."""
BEHAVIOUR: Final[dict[str, tuple[str, ...]]] = {
    "no_helmet": ("未戴安全帽", "nohelmet", "withouthelmet", "nohardhat"),
    "helmet_colour": ("安全帽颜色不符", "helmetcolor", "安全帽颜色"),
    "no_harness": ("未系安全带", "noharness", "nosafetybelt"),
    "single_hook": ("高处未双钩", "单钩"),
    "no_mask": ("未戴呼吸防护", "未戴口罩"),
    "no_goggles": ("未戴护目镜",),
    "fall": ("跌倒", "falldown", "摔倒"),
    "smoking": ("吸烟", "抽烟", "smoke_cigarette"),
    "phone": ("使用手机", "打电话", "玩手机", "phonecall"),
    "person_in_zone": ("区域内有人", "闯入", "区域入侵", "intrusion"),
    "guardian_absent": ("监护人缺位", "监护缺位", "监护人离岗"),
    "barrier_missing": ("未拉警戒", "警戒缺失"),
    "under_load": ("吊物下站人", "吊物下有人"),
    "fire": ("明火", "火焰"),
    "smoke": ("烟雾", "烟"),
    "hot_work": ("动火作业", "动火"),
    "welding": ("焊接", "电焊"),
    "cutting": ("切割",),
    "grinding": ("打磨",),
    "flame": (),
    "vehicle_in_zone": ("车辆闯入",),
    "no_extinguisher": ("无灭火器",),
}
_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "01": ("特级动火", "动火特级", "1"), "02": ("一级动火", "动火一级", "2"), "03": ("二级动火", "动火二级", "3"), "10": ("临时用电",),
    "21": ("高处ⅰ级", "一级高处", "高处一级", "高处作业ⅰ级"), "22": ("高处ⅱ级", "二级高处", "高处二级", "高处作业ⅱ级"), "23": ("高处ⅲ级", "三级高处", "高处三级", "高处作业ⅲ级"),
    "24": ("高处ⅳ级", "四级高处", "高处四级", "高处作业ⅳ级"), "30": ("动土",), "40": ("断路",), "50": ("盲板抽堵", "盲板"), "61": ("一级吊装", "吊装一级"), "62": ("二级吊装", "吊装二级"),
    "63": ("三级吊装", "吊装三级"), "70": ("受限空间", "有限空间", "confinedspace", "进入受限空间", "confinedspaceentry"),
}  # fmt: skip
TYPE: Final[dict[str, tuple[str, ...]]] = {code: tuple(dict.fromkeys((*said, *(s + end for s in said for end in ("作业", "作业票", "证") if not s.isascii() and "作业" not in s)))) for code, said in _TYPES.items()}
"""AQ 3064.2's codes, as people write them: 受限空间, 受限空间作业, 受限空间作业票."""
_TRADES: Final[dict[str, tuple[str, ...]]] = {
    "welding": ("焊接", "焊工", "电焊", "电焊工", "焊接工", "气焊工", "焊接与热切割", "熔化焊接与热切割", "压力焊", "钎焊", "welder"),
    "height": ("高处", "登高", "登高架设", "高处安装、维护、拆除", "架子工"),
    "electrician": ("电工", "低压电工", "高压电工", "防爆电气", "电力电缆", "继电保护", "电气试验", "electrical"),
    "lifting": ("起重", "吊装", "起重工", "起重机械", "起重机", "起重机司机", "起重机指挥", "起重指挥", "司索工", "司索", "rigger"),
}
TRADE: Final[dict[str, tuple[str, ...]]] = {trade: tuple(dict.fromkeys((*said, *(s + end for s in said for end in ("作业", "作业人员", "作业证", "操作证", "证") if not s.isascii())))) for trade, said in _TRADES.items()}
"""As certificates and rosters write them: 焊接, 焊接作业, 焊接作业证."""
STEP: Final[dict[str, tuple[str, ...]]] = {
    "jsa": ("风险分析", "作业危害分析"), "isolated": ("隔离", "能量隔离"), "briefed": ("交底", "安全交底"), "measures": ("措施确认", "安全措施"), "approved": ("会签", "审核", "审批通过"),
    "rejected": ("驳回", "退回", "拒绝", "reject"), "issued": ("签发", "批准", "已签发", "issue"), "checked": ("验票",), "started": ("开工", "开始作业", "作业中", "start"),
    "suspended": ("暂停", "中断", "中止", "停工", "停止作业", "暂停作业", "suspend", "paused", "pause", "stop", "stopped", "halted"), "resumed": ("恢复", "复工", "恢复作业", "resume", "restarted"), "changed": ("变更", "change"), "extended": ("延期",), "finished": ("完工", "作业结束", "finish", "done"),
    "accepted": ("验收", "已验收", "关闭", "closed", "accept"), "cancelled": ("撤销", "作废", "取消", "终止", "吊销", "废止", "canceled", "cancel", "void", "voided", "revoked", "revoke", "terminated", "terminate", "withdrawn"),
    "tools_in": ("工具带入", "工器具带入", "工具登记"), "tools_out": ("工具带出", "工器具带出", "工具清点", "工完料净"),
}  # fmt: skip
STATUS: Final[dict[str, tuple[str, ...]]] = {
    "valid": ("有效", "正常", "active"), "revoked": ("注销", "吊销", "作废", "void"), "re-examination": ("补考中", "补考"), "review overdue": ("逾期未复审", "未复审", "overdue"),
}  # fmt: skip
ROLE: Final[dict[str, tuple[str, ...]]] = {
    "rescue": ("救援", "应急救援", "救援人员", "救援队", "抢险", "rescuer", "rescueteam", "emergencyrescue"), "fire": ("消防", "消防员", "消防队", "消防人员", "firefighter", "firefighting", "firebrigade", "fireman"),
}  # fmt: skip
"""Roles that pass every door."""
BAD: Final[dict[str, tuple[str, ...]]] = {
    "over": ("overrange", "overload", "overflow", "overlimit", "overscale", "overfullscale", "aboverange", "outofrangehigh", "saturated", "超量程", "超上限", "超限", "超出量程", "超满量程", "高于量程", "溢出", "上溢"),
}  # fmt: skip
"""Why a reading is bad: what is beyond its range is gas; every other reason is told as it was written, and the reading is unknown."""
PAPER: Final[dict[str, tuple[str, ...]]] = {"missing": ("缺", "缺失", "未提交", "none"), "void": ("失效", "作废", "无效", "invalid")}
STATE: Final[dict[str, tuple[str, ...]]] = {"applied": ("已隔离", "加装", "锁定"), "verified": ("已确认", "验证"), "removed": ("拆除", "抽出"), "opened": ("打开", "开启")}
DIRECTION: Final[dict[str, tuple[str, ...]]] = {"in": ("进", "进入", "入", "enter", "entry"), "out": ("出", "离开", "exit", "leave")}
ACTION: Final[dict[str, tuple[str, ...]]] = {
    "sign_in": ("签到", "上岗", "signin", "checkin"), "hand_over": ("交接", "换岗", "handover"), "sign_out": ("签退", "离岗", "signout", "checkout"),
}  # fmt: skip
MODE: Final[dict[str, tuple[str, ...]]] = {"normal": ("正常", "运行"), "bump": ("功能测试", "bumptest"), "service": ("检修", "维护", "maintenance"), "calibration": ("校准", "标定", "calibrating")}
TAG: Final[dict[str, tuple[str, ...]]] = {"sos": ("求救", "报警", "panic"), "still": ("静止", "mandown")}

HAZARD: Final[dict[str, tuple[str, ...]]] = {
    "lightning": ("雷电", "雷暴", "雷雨", "雷雨大风", "强对流", "thunder", "thunderstorm"), "typhoon": ("台风", "热带风暴", "hurricane", "tropicalstorm"), "gale": ("大风", "强风", "阵风", "wind", "strongwind", "highwind", "storm"),
    "rain": ("暴雨", "大雨", "降雨", "rainstorm", "heavyrain"), "snow": ("暴雪", "大雪", "道路结冰", "结冰", "snowstorm", "blizzard", "ice", "icing"), "fog": ("大雾", "浓雾", "霾", "haze"), "hail": ("冰雹",),
    "heat": ("高温",), "cold": ("寒潮", "低温", "coldwave"), "sand": ("沙尘暴", "沙尘", "sandstorm", "duststorm"),
}  # fmt: skip
COLOUR: Final[dict[str, tuple[str, ...]]] = {"blue": ("蓝", "蓝色"), "yellow": ("黄", "黄色"), "orange": ("橙", "橙色"), "red": ("红", "红色")}
NOBODY: Final = frozenset({"", "-", "--", "—", "/", "\\", "?", "无", "空", "待定", "none", "null", "n/a", "na", "nil", "tbd"})
"""What people write where nobody is named."""

PASSED: Final[dict[bool, frozenset[str]]] = {
    True: frozenset({"true", "1", "1.0", "yes", "y", "ok", "pass", "passed", "qualified", "合格", "通过", "是", "正常", "符合"}),
    False: frozenset({"false", "0", "0.0", "no", "n", "ng", "fail", "failed", "notpassed", "unqualified", "不合格", "未通过", "不通过", "否", "异常", "不符合"}),
}
"""What testers write of an analysis as a whole."""

FIELDS: Final[dict[str, dict[str, Mapping[str, tuple[str, ...]]]]] = {
    "permit.requested": {"type": TYPE}, "permit.step": {"step": STEP}, "scan": {"direction": DIRECTION}, "guard": {"action": ACTION}, "isolation": {"state": STATE},
    "device": {"mode": MODE}, "certificate": {"trade": TRADE, "status": STATUS}, "detection": {"behaviour": BEHAVIOUR}, "tag": {"what": TAG},
}  # fmt: skip
"""kind → field → its words."""


def folded(text: str) -> str:
    """A word as it is compared: full-width as ASCII, small letters, without spaces, underscores and hyphens."""
    return _short(text) if len(text) <= 64 else _fold(text)


def _fold(text: str) -> str:
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", text)).casefold()


_short: Final = lru_cache(maxsize=16_384)(_fold)


@lru_cache(maxsize=64)
def _table(key: int) -> dict[str, str]:
    words = _TABLES[key]
    return {folded(said): name for name, spellings in words.items() for said in (name, *spellings)}


_TABLES: dict[int, Mapping[str, tuple[str, ...]]] = {}


@lru_cache(maxsize=4096)
def _word(key: int, text: str) -> str | None:
    return _table(key).get(folded(text))


def word(words: Mapping[str, tuple[str, ...]], text: str) -> str | None:
    """The closed word that a spelling means, or None."""
    if text in words:
        return text
    _TABLES.setdefault(id(words), words)
    return _word(id(words), text)


def misspelt(words: Mapping[str, tuple[str, ...]], text: str) -> bool:
    """Is a text that is no word almost one? What a plant calls in its own way is nobody's mistake, and of short words it cannot be told."""
    said = folded(text)
    return len(said) > 4 and word(words, text) is None and bool(get_close_matches(said, _table(id(words)), 1, 0.8))


def gas_of(text: str, known: Iterable[str] = ()) -> str | None:
    """The gas that is meant: one of the vocabulary or of a pack's own (`known`); None where it is neither."""
    if text in GAS or text in known:
        return text
    return word(GAS, text) or next((k for k in known if folded(k) == folded(text)), None)


def unit_of(text: str, gas: str = "") -> str | None:
    """%LEL, %vol, ppm, ppb or mg/m3; a bare % is %vol for oxygen and means nothing elsewhere."""
    if folded(text) == "%":
        return "%vol" if gas == "o2" else None
    return word(UNIT, text)


ISO: Final = re.compile(r"\d{4}-\d\d-\d\d")
_DAY: Final = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?(?:[T ].*)?")


@lru_cache(maxsize=4096)
def day_of(text: str) -> date | None:
    """A local day as people write it: ISO, slashes, dots, 年月日, eight digits, the day of a timestamp; FOREVER where there is no end; None where it is no day."""
    said = unicodedata.normalize("NFKC", text).strip()
    if folded(said) in ENDLESS:
        return FOREVER
    m = _DAY.fullmatch(said) or re.fullmatch(r"(\d{4})(\d\d)(\d\d)", said)
    if not m:
        return None
    year, month, day = int(m[1]), int(m[2]), int(m[3])
    if year >= 9999:
        return FOREVER
    try:
        return date(year, month, day) if 1900 <= year <= 2200 else None
    except ValueError:
        return None
