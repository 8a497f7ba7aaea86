"""Every figure that a rule judges by: its name, unit, which way is stricter, and what it is. The values stand in packs (streams/book/*.toml)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SCALE: Final = {"ms": 1.0, "s": 1_000.0, "min": 60_000.0, "h": 3_600_000.0, "d": 86_400_000.0}
"""Units of time, in ms; every other unit stays as it is."""

Stricter = Literal["lower", "higher", ""]
When = Literal["fact", "permit", "now"]
"""Whose pack gives a figure: the one in force when the fact was true (a reading and its limit), when the permit was approved (the conditions
under which it was given; now, as long as it is not), or now (deadlines, routing, what is only of the moment)."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One figure. `when`: whose pack gives it. `stricter`: which way a plant may go without a waiver ("" either way); `low`…`high`: what can be meant."""

    when: When
    unit: str
    stricter: Stricter
    low: float
    high: float
    zh: str
    en: str


LIMITS: Final[dict[str, Limit]] = {
    # gas
    "gas_fresh": Limit("permit", "min", "lower", 1, 120, "取样到开工", "sampling to start"),
    "retest_special": Limit("permit", "min", "lower", 1, 120, "特级中断复测", "re-test after a pause, special hot work"),
    "retest_first": Limit("permit", "min", "lower", 1, 120, "一级中断复测", "re-test after a pause, first class"),
    "retest_second": Limit("permit", "min", "lower", 1, 120, "二级中断复测", "re-test after a pause, second class"),
    "retest_confined": Limit("permit", "min", "lower", 1, 120, "受限空间中断复测", "re-test after a pause, confined space"),
    "record_every": Limit("permit", "min", "lower", 10, 240, "受限空间记录间隔", "written record in a confined space"),
    "stream_gap": Limit("permit", "s", "lower", 30, 600, "连续检测允许中断", "gap of continuous monitoring"),
    "lel_vol_high": Limit("fact", "%vol", "lower", 0, 100, "LEL ≥ 4 % 时限值", "limit where the LEL is 4 %vol or more"),
    "lel_vol_low": Limit("fact", "%vol", "lower", 0, 100, "LEL < 4 % 时限值", "limit where the LEL is below 4 %vol"),
    "lel_percent": Limit("fact", "%LEL", "lower", 0, 100, "以 %LEL 计的限值", "limit as %LEL"),
    "rise_share": Limit("fact", "", "lower", 0.1, 1, "预警占限值的比例", "share of the limit at which to warn"),
    "oxygen_low": Limit("fact", "%vol", "higher", 15, 20.9, "氧含量下限", "oxygen, low"),
    "oxygen_high": Limit("fact", "%vol", "lower", 20.9, 30, "氧含量上限", "oxygen, high"),
    "oxygen_pass": Limit("fact", "%vol", "lower", 20.9, 30, "分析合格氧含量上限", "oxygen of an analysis, high"),
    "oxygen_poor": Limit("fact", "%vol", "higher", 19.5, 20.9, "氧含量偏低提醒", "oxygen, low: warning"),
    "oxygen_poor_dwell": Limit("fact", "s", "lower", 1, 300, "氧偏低持续", "oxygen low for"),
    "oxygen_rich": Limit("fact", "%vol", "lower", 20.9, 23.5, "氧含量偏高提醒", "oxygen, high: warning"),
    "oxygen_rich_step": Limit("fact", "%vol", "lower", 0.05, 2, "高于本通道常值", "above what the channel usually reads"),
    "oxygen_rich_sure": Limit("fact", "%vol", "lower", 20.9, 23.5, "氧含量确偏高", "oxygen, high whatever it usually reads"),
    "oxygen_rich_dwell": Limit("fact", "s", "lower", 1, 600, "氧偏高持续", "oxygen high for"),
    "clear_share": Limit("fact", "", "higher", 0, 0.5, "报警解除回差", "width below the limit before an alarm clears, share of the limit"),
    "oxygen_clear": Limit("fact", "%vol", "higher", 0, 1, "氧报警解除回差", "oxygen, width before an alarm clears"),
    "trend_within": Limit("now", "min", "higher", 5, 120, "趋势预警提前时间", "a trend would reach the limit within"),
    "fixed_alarm": Limit("fact", "%LEL", "lower", 1, 100, "固定式探测器一级报警", "level-1 alarm of fixed detectors"),
    "mismatch_share": Limit("fact", "", "lower", 0.05, 1, "填报与实时允许偏差", "typed against live reading, share of the limit"),
    # guardian
    "guardian_warn": Limit("permit", "s", "lower", 5, 600, "监护人离岗提醒", "guardian outside the fence: warning"),
    "guardian_alarm": Limit("permit", "s", "lower", 10, 1800, "监护人离岗报警", "guardian outside the fence: alarm"),
    "tag_silent": Limit("permit", "s", "lower", 30, 1800, "监护人标签无信号", "guardian's tag silent"),
    "post_watch": Limit("permit", "min", "higher", 0, 240, "作业后监火", "fire watch after the work"),
    "two_posts": Limit("permit", "m", "lower", 0, 200, "一人多监护距离", "posts of one guardian apart"),
    # permit
    "near_expiry": Limit("now", "min", "higher", 0, 240, "临近超期提醒", "warning before the end of validity"),
    "close_late": Limit("now", "h", "lower", 0.25, 72, "完工未关闭", "finished and not closed"),
    "approval_wait": Limit("now", "h", "lower", 0.25, 72, "审批超时", "asked for and not approved"),
    "rubber_count": Limit("now", "", "lower", 3, 100, "秒批数量", "approvals in a burst"),
    "rubber_window": Limit("now", "s", "higher", 10, 3600, "秒批时间窗", "window of a burst of approvals"),
    "signer_away": Limit("permit", "min", "lower", 1, 60, "签批定位时效", "age of the signer's fix"),
    "paper_scan": Limit("now", "h", "lower", 1, 168, "纸质票扫描", "scan of a paper permit"),
    "valid_special": Limit("permit", "h", "lower", 1, 24, "特级动火有效期", "validity, special hot work"),
    "valid_first": Limit("permit", "h", "lower", 1, 24, "一级动火有效期", "validity, first class"),
    "valid_second": Limit("permit", "h", "lower", 1, 120, "二级动火有效期", "validity, second class"),
    "valid_confined": Limit("permit", "h", "lower", 1, 48, "受限空间有效期", "validity, confined space"),
    "valid_height": Limit("permit", "d", "lower", 1, 14, "高处作业有效期", "validity, work at height"),
    "valid_power": Limit("permit", "d", "lower", 1, 30, "临时用电有效期", "validity, temporary power"),
    "night_from": Limit("fact", "o'clock", "", 0, 24, "夜间开始", "night begins"),
    "night_to": Limit("fact", "o'clock", "", 0, 24, "夜间结束", "night ends"),
    # neighbours
    "simops_gas": Limit("fact", "m", "higher", 1, 200, "动火与可燃气排放", "hot work to a discharge of combustible gas"),
    "simops_liquid": Limit("fact", "m", "higher", 1, 200, "动火与可燃液体排放", "hot work to a discharge of combustible liquid"),
    "simops_solvent": Limit("fact", "m", "higher", 1, 200, "动火与溶剂清洗喷漆", "hot work to solvent cleaning or painting"),
    "simops_dust": Limit("fact", "m", "higher", 1, 200, "动火与粉尘清扫", "hot work to dust sweeping"),
    "simops_train": Limit("fact", "m", "higher", 1, 200, "动火与危化品列车", "hot work to a hazmat train"),
    "simops_blind": Limit("fact", "m", "higher", 1, 200, "动火与盲板抽堵", "hot work to blinding"),
    "simops_hot": Limit("fact", "m", "higher", 0, 200, "动火与动火", "hot work to hot work"),
    "fall_line": Limit("fact", "m", "higher", 0, 50, "坠落线半径", "radius of a fall line"),
    "double_layer": Limit("fact", "m", "lower", 2, 100, "需双层防护的高差", "height from which one layer is not enough"),
    "dup_distance": Limit("fact", "m", "higher", 0, 50, "重复签发判定距离", "same place for duplicates"),
    "dup_window": Limit("fact", "h", "higher", 0, 168, "重复签发时间窗", "window for duplicates"),
    # certificates, people
    "cert_short": Limit("permit", "d", "higher", 0, 180, "证件剩余有效期", "remaining validity of a certificate at application"),
    "leaver_grace": Limit("now", "min", "lower", 0, 1440, "离职生效", "leaving takes effect"),
    "overstay": Limit("now", "min", "lower", 0, 240, "超时滞留", "inside after the end of validity"),
    "dormant": Limit("now", "d", "lower", 1, 730, "账户闲置", "account not used"),
    "registry_drift": Limit("fact", "", "lower", 0, 100, "证件数量差异", "valid certificates, register against ours"),
    "person_score": Limit("now", "", "lower", 1, 100, "人员状态指数", "state of a person"),
    "skill_stale": Limit("now", "d", "lower", 30, 3650, "技能久未实操", "without practice"),
    "still": Limit("now", "min", "lower", 1, 120, "静止", "a person does not move"),
    "stay": Limit("now", "min", "lower", 1, 1440, "滞留", "stay in a zone"),
    "zone_grace": Limit("now", "s", "lower", 0, 60, "越界", "inside a forbidden zone"),
    "gather_radius": Limit("now", "m", "higher", 1, 100, "聚集半径", "radius of a gathering"),
    "gather_count": Limit("now", "", "lower", 2, 100, "聚集人数", "people in a gathering"),
    "gather_time": Limit("now", "s", "lower", 1, 3600, "聚集时间", "duration of a gathering"),
    # weather, process
    "wind_work": Limit("fact", "m/s", "lower", 1, 30, "动火、高处停工风速", "wind that stops open-air hot work and work at height"),
    "wind_lifting": Limit("fact", "m/s", "lower", 1, 30, "吊装停工风速", "wind that stops lifting"),
    "dcs_deviation": Limit("fact", "", "lower", 0.1, 1000, "工艺偏离", "deviation from the set point"),
    "dcs_dwell": Limit("fact", "s", "lower", 1, 3600, "工艺偏离持续", "duration of a deviation"),
    "dcs_gap": Limit("fact", "s", "lower", 1, 60, "采样允许间隔", "gap between samples of a deviation"),
    "fan_silent": Limit("permit", "s", "lower", 5, 600, "通风状态无数据", "state of a fan not known"),
    # evidence, video
    "full_video": Limit("permit", "", "higher", 0, 1, "动火受限全程录像", "film all hot and confined work (1) or special hot work only (0)"),
    "video_gap": Limit("permit", "s", "lower", 0, 600, "每小时允许中断", "gap in any hour of a film"),
    "voice_seconds": Limit("permit", "s", "higher", 0, 600, "语音时长", "length of the voice record"),
    "film_seconds": Limit("fact", "s", "higher", 0, 600, "对比视频时长", "length of the comparison film"),
    "close_distance": Limit("fact", "m", "lower", 0.5, 100, "验收距离", "inspector from the fault"),
    "sharpness": Limit("fact", "", "higher", 0, 1, "照片清晰度", "sharpness of a photo"),
    "retention": Limit("now", "d", "higher", 30, 3650, "视频保存", "video is kept"),
    "unwatched": Limit("permit", "min", "lower", 1, 240, "无人看护时间", "nobody was looking"),
    "detection_sure": Limit("fact", "", "lower", 0.3, 0.99, "识别置信度", "confidence of a detection"),
    # hazards
    "hazard_ack": Limit("now", "h", "lower", 0.25, 168, "隐患签收", "hazard not acknowledged"),
    "refault": Limit("now", "d", "higher", 1, 365, "复发判虚假闭环", "the same fault again after closing"),
    # data quality
    "detector_silent": Limit("now", "s", "lower", 10, 3600, "探测器无数据", "detector silent"),
    "frozen": Limit("now", "min", "lower", 5, 1440, "读数不变", "identical readings"),
    "frozen_zero": Limit("now", "h", "lower", 0.5, 48, "零值不变", "readings of exactly zero"),
    "clock_off": Limit("fact", "s", "lower", 1, 600, "时钟偏差", "clock off"),
    "camera_clock_off": Limit("fact", "s", "lower", 1, 3600, "摄像机时钟偏差", "camera's clock off"),
    "late_fact": Limit("now", "min", "lower", 1, 1440, "数据迟到", "facts late"),
    "repeats": Limit("now", "", "lower", 2, 10_000, "一小时重复数", "repeats in an hour"),
    # what is surely so, and how long a word holds
    "analysis_span": Limit("fact", "min", "lower", 1, 60, "一次分析的取样跨度", "results of one analysis lie within"),
    "typed_late": Limit("fact", "min", "lower", 1, 1440, "补录数据时限", "a typed test comes in after"),
    "idle_daily": Limit("permit", "min", "lower", 1, 240, "跨日作业间歇", "work idle before the first of a new day"),
    "sight_sure": Limit("fact", "s", "lower", 1, 120, "见作业持续", "work is surely seen after"),
    "tools_down": Limit("permit", "s", "lower", 0, 600, "收工时间", "time to put tools down"),
    "start_told": Limit("permit", "min", "lower", 1, 120, "补报开工时限", "seen work is declared within"),
    "smoke_sure": Limit("fact", "s", "lower", 0, 60, "烟雾持续", "smoke is surely seen after"),
    "fall_sure": Limit("fact", "s", "lower", 0, 60, "跌倒持续", "a fall is surely seen after"),
    "fire_sure": Limit("fact", "s", "lower", 0, 60, "明火持续", "fire is surely seen after"),
    "load_sure": Limit("fact", "s", "lower", 0, 60, "吊物下有人持续", "somebody below a load is surely seen after"),
    "habit_sure": Limit("fact", "s", "lower", 0, 60, "吸烟、用手机持续", "smoking, or a phone, is surely seen after"),
    "barrier_sure": Limit("fact", "s", "lower", 0, 60, "警戒缺失持续", "a missing barrier is surely seen after"),
    "zero_low": Limit("fact", "min", "lower", 1, 1440, "零点偏低持续", "a zero that is too low is told after"),
    "ppe_sure": Limit("fact", "s", "lower", 0, 60, "防护缺失持续", "missing protection is surely seen after"),
    "film_phase": Limit("permit", "min", "", 1, 30, "起止前后录像时段", "film around start and end"),
    "photo_early": Limit("permit", "h", "", 0, 48, "申请前照片时限", "photos before the request"),
    "watch_fresh": Limit("now", "s", "lower", 10, 600, "监测有效时长", "a good word is live for"),
    "simops_soft": Limit("fact", "", "higher", 1, 3, "接近限距倍数", "nearly within a distance, times it"),
    "round_count": Limit("now", "", "lower", 3, 20, "相同数据次数", "equal typed tests in a row"),
    "overtime_month": Limit("now", "h", "lower", 1, 200, "月加班满分", "overtime of a month that counts in full"),
    "violations_most": Limit("now", "", "lower", 1, 50, "违章满分次数", "violations that count in full"),
    "violations_window": Limit("now", "d", "higher", 1, 365, "违章统计期", "violations are counted over"),
}
