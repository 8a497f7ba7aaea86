"""The one catalogue: every sentence that a user sees, in Chinese and English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from streams.sentences import SENTENCES
from streams.spoken import spoken

CHECKS: Final[dict[str, tuple[str, str]]] = {
    "T1.consistent": ("{tg} 取样合格,{ta} 批准。", "Sampled and passed {tg}, approved {ta}."),
    "T1.violation": ("{ta} 批准时没有合格的气体分析。", "No valid gas analysis when it was approved at {ta}."),
    "T1.indeterminate": ("取样 {tg} 与批准 {ta} 的先后,时钟不足以判断。", "The clocks cannot tell whether sampling {tg} came before approval {ta}."),
    "T1.pending": ("尚未批准。", "Not approved yet."),
    "T2.consistent": ("取样到开工 {age},未超过 {limit}。", "Sampling to start {age}, within {limit}."),
    "T2.violation": ("取样 {tg} 到开工 {ts} 为 {age},超过 {limit}。", "Sampling {tg} to start {ts} is {age}, over {limit}."),
    "T2.indeterminate": ("取样 {tg} 到开工 {ts} 约 {age},时钟不足以判断是否超过 {limit}。", "Sampling {tg} to start {ts} is about {age}; the clocks cannot tell whether that is over {limit}."),
    "T2.pending": ("尚未开工。", "Not started yet."),
    "T3.consistent": ("{ta} 批准,{ts} 开工。", "Approved {ta}, started {ts}."),
    "T3.violation": ("{ts} 开工时尚未批准({ta})。", "Work began at {ts} before the approval ({ta})."),
    "T3.indeterminate": ("批准 {ta} 与开工 {ts} 的先后,时钟不足以判断。", "The clocks cannot tell whether approval {ta} came before the start {ts}."),
    "T3.pending": ("尚未开工。", "Not started yet."),
    "T4.consistent": ("视频覆盖作业全过程。", "Video covers the work."),
    "T4.violation": ("视频未覆盖作业。", "Video does not cover the work."),
    "T4.indeterminate": ("部分时段有无视频未知。", "For part of the work it is not known whether there is video."),
    "T4.pending": ("作业进行中,视频尚未断。", "The work goes on; video has not been missed so far."),
    "T5.consistent": ("{te} 结束,在有效期 {valid_to} 之内。", "Ended {te}, within the validity {valid_to}."),
    "T5.violation": ("超过有效期 {valid_to}(结束 {te})。", "Ran over the validity {valid_to} (ended {te})."),
    "T5.indeterminate": ("结束 {te} 与有效期 {valid_to} 的先后,时钟不足以判断。", "The clocks cannot tell whether the end {te} lies within the validity {valid_to}."),
    "T5.pending": ("作业未结束,有效期至 {valid_to}。", "Not ended; valid until {valid_to}."),
    "T6.consistent": ("{pauses} 次中断后均按要求复测。", "Tested again as required after {pauses} interruption(s)."),
    "T6.violation": ("中断后恢复作业未复测。", "Resumed after an interruption without a new test."),
    "T6.indeterminate": ("中断后是否及时复测,时钟不足以判断。", "The clocks cannot tell whether the new test was in time."),
    "T6.pending": ("尚未恢复作业。", "Not resumed yet."),
    "T7.consistent": ("记录和连续检测没有缺口。", "No hole in the records or in the stream."),
    "T7.violation": ("记录或连续检测有缺口。", "A record or the continuous stream is missing."),
    "T7.indeterminate": ("没有绑定气体检测仪,连续检测未知。", "No gas detector is bound; the stream is unknown."),
    "T7.pending": ("作业进行中。", "The work goes on."),
    "T8.consistent": ("审批人在现场({radius} m 内)。", "The approver was on site (within {radius} m)."),
    "T8.violation": ("审批人不在现场({radius} m 外)。", "The approver was not on site (beyond {radius} m)."),
    "T8.indeterminate": ("审批人位置未知或误差过大。", "The approver's position is not known, or not well enough."),
    "T8.pending": ("尚未批准。", "Not approved yet."),
    "T9.consistent": ("相关时钟可用。", "The clocks concerned can be used."),
    "T9.violation": ("时钟偏差超限,已按实测校正:{off}。", "Clocks are off beyond their limit; corrected as measured: {off}."),
    "T9.indeterminate": ("时钟未比对。", "The clocks were never compared."),
    "T9.pending": ("—", "—"),
}

LIGHTS: Final[dict[str, tuple[str, str]]] = {
    "light.alert": ("有未消除的 {priority} 报警", "an open {priority} alert"),
    "light.bad": ("屏障失效:{barrier}", "barrier gone: {barrier}"),
    "light.unknown": ("状态未知:{barrier}", "unknown: {barrier}"),
    "light.expiry": ("即将到期 {valid_to}", "expires {valid_to}"),
    "light.live": ("各屏障正常", "all barriers live"),
    "status.requested": ("已申请", "requested"),
    "status.issued": ("已签发", "issued"),
    "status.active": ("作业中", "active"),
    "status.suspended": ("暂停", "suspended"),
    "status.finished": ("已完工", "finished"),
    "status.accepted": ("已验收", "accepted"),
    "status.cancelled": ("撤销", "cancelled"),
}

SCREENS: Final[dict[str, tuple[str, str]]] = {
    "brand": ("特殊作业监护", "Special Work Watch"),
    "active": ("在场作业", "jobs at work"),
    "unacknowledged": ("未确认一级报警", "unacknowledged P1"),
    "areas_at_risk": ("高风险区域", "areas at risk"),
    "people": ("作业人员", "people at work"),
    "map": ("厂区平面", "plant map"),
    "heat": ("作业密度 × 风险指数(区域 × 小时)", "work density × risk index (area × hour)"),
    "matrix": ("当前作业(区域 × 类型)", "jobs now (area × type)"),
    "feed": ("实时报警", "live alerts"),
    "live": ("在线", "LIVE"),
    "stale": ("数据过期", "STALE"),
    "offline": ("连接中断", "OFFLINE"),
    "age": ("数据延迟", "data age"),
    "risk": ("风险指数", "risk index"),
    "as_of": ("截至 {at}", "as of {at}"),
    "no_minute": ("尚无分钟数据", "no minute was told yet"),
    "permits": ("作业票", "permits"),
    "permit": ("作业票", "permit"),
    "type": ("类型", "type"),
    "point": ("作业点", "work point"),
    "crew": ("班组", "crew"),
    "status": ("状态", "status"),
    "barriers": ("屏障", "barriers"),
    "gas": ("气体", "gas"),
    "guard": ("监护", "guardian"),
    "video": ("视频", "video"),
    "verdict": ("三时间戳判定", "three-timestamp verdict"),
    "alerts": ("报警", "alerts"),
    "toxics_untold": ("该作业点未登记有毒气体:进入前分析只要求氧和可燃气(places.csv 的 toxics 列)。", "No toxic gases are written down for this place: an analysis for entry is asked for oxygen and combustible gas alone (`toxics` in places.csv)."),
    "facts": ("事实与证据", "facts and evidence"),
    "raw": ("原始消息", "raw message"),
    "limit": ("限值", "limit"),
    "todo": ("我的待办", "my to-dos"),
    "ticket": ("电子票", "e-ticket"),
    "nothing": ("没有需要处理的事", "nothing to do"),
    "no_job": ("没有作业票", "no permit"),
    "not_found": ("没有找到 {what}", "{what} was not found"),
    "choose": ("用 ?worker=W1001 指定人员", "say who you are with ?worker=W1001"),
    "waiting": ("等待数据:plant 尚未描述", "waiting for data: the plant is not described yet"),
    "store_away": ("历史库暂不可用,实时数据不受影响", "the archive does not answer; live data are not affected"),
    "advice": ("此系统仅提示,不控制设备;不替代监护人和便携式报警器。", "This system advises, it never actuates; it replaces neither the guardian nor a portable alarm."),
    "wall": ("总览", "wall"),
    "waiver": ("放宽 {what}(至 {until},{by}):{reason}", "loosened {what} (until {until}, {by}): {reason}"),
    "state.raised": ("未确认", "raised"), "state.acknowledged": ("已确认", "acknowledged"), "state.in_progress": ("处理中", "in progress"), "state.cleared": ("已消除", "cleared"),
    "state.verified": ("已核实", "verified"), "state.closed": ("已关闭", "closed"), "state.shelved": ("已搁置", "shelved"), "state.suppressed": ("按设计抑制", "suppressed by design"),
    "state.retracted": ("已撤回", "retracted"),
    "history": ("经过", "history"), "owner": ("责任", "owner"), "deadline": ("期限", "deadline"), "owner.crew": ("班组", "crew"), "owner.workshop": ("车间", "workshop"), "owner.director": ("厂长", "director"),
    "alert_old": ("{what} 已结束超过一小时,见作业票或分析库", "{what} ended more than an hour ago; see its permit or the analysts' tables"),
    "answer": ("处置", "answer"), "answer.by": ("工号", "your ID"), "answer.note": ("说明", "note"), "answer.minutes": ("搁置分钟", "minutes to shelve"),
    "answer.none": ("此状态下没有需要做的事", "nothing is to be done in this state"), "answer.taken": ("已受理,几秒内可见", "taken; it shows within seconds"),
    "answer.off": ("此屏幕未获授权处置(未设置 PERMITWATCH_TOKEN_OPERATOR)", "this screen may not answer: PERMITWATCH_TOKEN_OPERATOR is not set"),
    "answer.late": ("报警现在的状态是“{state}”,此操作已不适用", "the alert is “{state}” by now; this step no longer applies"), "answer.who": ("请填写工号(字母、数字、点、横线,最多 40 个)", "say who you are: letters, digits, dots and dashes, 40 at most"),
    "answer.reason": ("搁置必须写明原因", "shelving needs a reason"), "answer.shelf": ("搁置 1 到 {most} 分钟", "shelve for 1 to {most} minutes"),
    "answer.door": ("接入服务没有应答,未受理;请用电话报告", "the door does not answer; not taken. Report by phone"), "answer.refused": ("接入服务拒绝:", "the door refused:"),
    "do.acknowledge": ("确认", "acknowledge"), "do.start": ("开始处理", "start"), "do.resolve": ("处理完毕", "resolved"), "do.shelve": ("搁置", "shelve"), "do.unshelve": ("取消搁置", "unshelve"),
    "do.verify": ("核实", "verify"), "do.close": ("关闭", "close"),
    "family.hot": ("动火", "hot"), "family.confined": ("受限", "confined"), "family.height": ("高处", "height"), "family.lift": ("吊装", "lifting"),
    "family.power": ("临电", "power"), "family.dig": ("动土", "dig"), "family.road": ("断路", "road"), "family.blind": ("盲板", "blind"),
    "mark.Tg": ("取样 Tg", "sample Tg"), "mark.Ta": ("批准 Ta", "approval Ta"), "mark.Ts": ("开工 Ts", "start Ts"), "mark.Te": ("完工 Te", "end Te"), "mark.Tc": ("验收 Tc", "accepted Tc"),
    "outcome.consistent": ("一致", "consistent"), "outcome.violation": ("违规", "violation"), "outcome.indeterminate": ("无法判断", "indeterminate"), "outcome.pending": ("进行中", "pending"),
    "light.green": ("正常", "fine"), "light.yellow": ("注意", "attention"), "light.red": ("停止", "stop"), "light.grey": ("无数据", "no data"),
    "barrier.ok": ("有效", "live"), "barrier.bad": ("失效", "gone"), "barrier.unknown": ("未知", "unknown"),
    "dim.gas": ("气体", "gas"), "dim.guard": ("监护到位", "guardian"), "dim.video": ("视频", "video"), "dim.permit": ("许可有效", "permit"), "dim.load": ("作业密度", "density"), "dim.alerts": ("无报警", "no alerts"),
    "todo.stop": ("停止作业:{text}", "Stop the work: {text}"), "todo.ticket": ("作业票 {permit}:{status},{why}", "Permit {permit}: {status}, {why}"),
    "todo.expiry": ("有效期至 {at}", "valid until {at}"),
}

BETWEEN: Final = re.compile(r"(?<=[\u4e00-\u9fff]) (?=[\u4e00-\u9fff])")
TEXTS: Final = SENTENCES | CHECKS | LIGHTS | {f"ui.{k}": v for k, v in SCREENS.items()}


def ui(key: str, lang: str, **numbers: Any) -> str:
    """A screen's word in one language."""
    zh, en = SCREENS[key]
    return (zh if lang == "zh" else en).format_map(numbers)


def both(key: str, numbers: Mapping[str, Any] | None = None) -> dict[str, str]:
    """A sentence in both languages with its numbers."""
    zh, en = TEXTS[key]
    filled = numbers or {}
    return {"zh": _close(zh.format_map(_named(filled, 0))), "en": _close(en.format_map(_named(filled, 1)))}


def _close(said: str) -> str:
    """Without the blanks between two Chinese words, and without a permit that is none."""
    for none in (" (permit —)", "(作业票 —)"):
        said = said.replace(none, "")
    return BETWEEN.sub("", said)


def _named(numbers: Mapping[str, Any], lang: int) -> Mapping[str, Any]:
    """Barriers and closed words by their names in a language (0 Chinese, 1 English)."""
    out = {place: spoken(place, value, lang) for place, value in numbers.items()}
    if "barrier" in out:
        out["barrier"] = SCREENS[out["barrier"]][lang]
    return out


def sentence(code: str, variant: str, numbers: Mapping[str, Any]) -> dict[str, str]:
    """A rule's sentence; a variant without one of its own uses the rule's."""
    key = f"{code}.{variant}"
    return both(key if variant and key in TEXTS else code, numbers)
