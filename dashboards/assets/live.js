/* One EventSource a tab: reconnects for ever, says how old the data are, touches only text and colours. */
(() => {
  "use strict";
  const STALE_MS = 5000, OFF_MS = 10000, FIGURE_MS = 5000, ROWS = 50;
  const SYM = {1: "■", 2: "◆", 3: "▲", 4: "●"}, LIGHT = {red: "■", yellow: "▲", green: "●", grey: "○"}, BAR = {ok: "●", bad: "■", unknown: "▲"};
  let source = null, lastRx = 0, lastPulse = null, tries = 0, timer = 0, jobs = null, drawn = {}, want = {};
  const $ = id => document.getElementById(id);
  const kind = () => $("page-kind");
  const words = () => window.__words || {};
  const el = (tag, cls, text) => { const e = document.createElement(tag); if (cls) e.className = cls; if (text !== undefined) e.textContent = text; return e; };
  const lang = () => (kind() && kind().dataset.lang) || "zh";
  const hms = ms => new Date(ms).toLocaleTimeString("sv-SE", {timeZone: "Asia/Shanghai"});

  function item(a) {
    const li = el("li", `al p${a.priority} ${a.state}`), link = el("a");
    link.href = `/alert?id=${encodeURIComponent(a.id)}&lang=${lang()}`;
    link.append(el("span", `pri p${a.priority}`, `${SYM[a.priority]} P${a.priority}`), el("span", "t", hms(a.raised)), el("span", "ar", a.point || a.permit), el("span", "m", a.text[lang()]));
    li.append(link); li.dataset.id = a.id; li.dataset.known = a.known; return li;
  }
  async function answer(button) {
    const page = $("alert"), said = $("answer"), value = id => ($(id) ? $(id).value.trim() : "");
    localStorage.setItem("by", value("by")); button.disabled = true;
    try {
      const r = await fetch(`/api/answer?lang=${lang()}`, {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({alert: page.dataset.alert, action: button.dataset.action, by: value("by"), note: value("note"), minutes: Number(value("minutes")) || 0})});
      said.textContent = (await r.json()).said; said.className = r.ok ? "ok" : "bad";
    } catch (_) { said.textContent = words().offline; said.className = "bad"; }
    button.disabled = false;
  }
  function onAlert(a) {
    const page = $("alert");
    if (page && page.dataset.alert === a.id && Number(page.dataset.revision) < a.revision) location.reload();
    const feed = $("feed"); if (!feed) return;
    const old = [...feed.children].find(li => li.dataset.id === a.id);
    const open = ["raised", "acknowledged", "in_progress", "shelved"].includes(a.state);
    if (old) old.remove();
    if (!open) return;
    const li = item(a); if (!old && a.priority === 1) li.classList.add("new");
    const after = [...feed.children].find(x => Number(x.className.match(/p(\d)/)[1]) >= a.priority);
    feed.insertBefore(li, after || null);
    while (feed.childElementCount > ROWS) feed.lastChild.remove();
    requestAnimationFrame(() => requestAnimationFrame(() => { (window.__pixels = window.__pixels || []).push([a.id, a.revision, a.known, Date.now()]); }));
  }
  const put = (id, v) => { const e = $(id); if (e && e.textContent !== String(v)) e.textContent = v; };
  function bars(j) { const s = el("span", "bs"); for (const [k, v] of Object.entries(j.barriers)) s.append(el("span", `b ${v}`, `${BAR[v] || "○"} ${words()["barrier." + k] || k}`)); return s; }
  function onJobs(d) {
    jobs = d;
    put("n-active", d.active); put("n-p1", d.unacknowledged); put("n-p2", d.p["2"]); put("n-p3", d.p["3"]); put("n-people", d.people);
    put("n-risk", Object.values(d.risk).filter(r => r >= 50).length);
    want.map = want.matrix = true;
    const table = $("jobs"); if (table) shop(table, d.jobs.filter(j => j.shop === table.dataset.shop));
    const cards = $("crew"); if (cards) crew(cards, d.jobs.filter(j => j.crew === cards.dataset.crew));
  }
  function shop(table, rows) {
    const shown = new Map([...table.children].map(tr => [tr.dataset.permit, tr]));
    for (const j of rows) {
      const tr = el("tr"); tr.dataset.permit = j.permit;
      const link = el("a", "", j.permit); link.href = `/permit/${encodeURIComponent(j.permit)}?lang=${lang()}`;
      const cells = [el("td", `light ${j.light}`, `${LIGHT[j.light]} ${words()["light." + j.light]}`), el("td"), el("td", "", words()["type." + j.type] || j.type), el("td", "", j.point), el("td", "", j.crew),
        el("td", "", `${j.why[lang()]} · → ${hms(j.valid_to).slice(0, 5)}`), el("td"), el("td", `o ${j.outcome}`, "")];
      cells[1].append(link); cells[6].append(bars(j));
      const old = shown.get(j.permit); cells[7].textContent = words()["outcome." + j.outcome] || j.outcome;
      tr.append(...cells); shown.delete(j.permit); old ? old.replaceWith(tr) : table.append(tr);
    }
    for (const tr of shown.values()) tr.remove();
  }
  function crew(main, rows) {
    const frag = document.createDocumentFragment();
    for (const j of rows) for (const who of [...j.workers, ...j.guardians]) {
      const c = el("article", `card ${j.light}`); c.dataset.permit = j.permit; c.dataset.who = who;
      const p = el("p"), a = el("a", "", `${j.permit} · ${j.point}`); a.href = `/permit/${encodeURIComponent(j.permit)}?lang=${lang()}`; p.append(a);
      c.append(el("div", `st ${j.light}`, `${LIGHT[j.light]} ${words()["light." + j.light]}`), el("h3", "", who), el("p", "", words()["type." + j.type] || j.type), p, el("p", "why", j.why[lang()]), bars(j));
      frag.append(c);
    }
    if (!rows.length) { const c = el("article", "card grey"); c.append(el("div", "st grey", `${LIGHT.grey} ${words()["light.grey"]}`), el("p", "", words().no_job)); frag.append(c); }
    main.replaceChildren(frag);
  }
  async function draw() {
    for (const name of Object.keys(want)) {
      const box = document.querySelector(`#${name} .js-plotly-plot`);
      if (!box || !window.Plotly || performance.now() - (drawn[name] || 0) < FIGURE_MS) continue;
      drawn[name] = performance.now(); delete want[name];
      const k = kind(), answer = await fetch(`/api/figure/${name}?theme=${k.dataset.theme}&lang=${k.dataset.lang}`);
      if (!answer.ok) continue;
      const text = await answer.text(); if (box.dataset.was === text) continue;
      box.dataset.was = text; const f = JSON.parse(text); Plotly.react(box, f.data, f.layout);
    }
  }
  const on = {alerts: onAlert, jobs: onJobs, heat: () => { want.heat = true; }, pulse: d => { lastPulse = {at: performance.now(), ...d}; }};
  function take(e) { const m = JSON.parse(e.data); lastRx = performance.now(); on[m.topic](m.data); }
  function open() {
    clearTimeout(timer); if (source) source.close();
    source = new EventSource("/live");
    source.onopen = () => { tries = 0; };
    for (const k of ["state", "log"]) source.addEventListener(k, take);
    source.addEventListener("beat", () => { lastRx = performance.now(); });
    source.addEventListener("gap", () => location.reload());
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(); };
  }
  function again() { clearTimeout(timer); timer = setTimeout(open, Math.min(15000, 1000 * 2 ** Math.min(tries++, 4)) * (.5 + Math.random())); }
  function tick() {
    const now = performance.now(), idle = now - lastRx, age = lastPulse ? lastPulse.behind + (now - lastPulse.at) : Infinity;
    const state = idle > OFF_MS ? "offline" : age > STALE_MS ? "stale" : "live";
    document.documentElement.dataset.live = state;
    const c = $("conn");
    if (c) { c.dataset.state = state; put("conn-state", words()[state] || state); put("conn-age", isFinite(age) ? (age / 1000).toFixed(1) + " s" : "—"); }
    if (lastPulse) put("clock", new Date(lastPulse.now + now - lastPulse.at).toLocaleString("sv-SE", {timeZone: "Asia/Shanghai"}) + " (UTC+8)");
    if (idle > OFF_MS + 5000 && source && source.readyState !== EventSource.CONNECTING) { lastRx = now - OFF_MS; open(); }
    draw();
  }
  async function go() {
    if (!kind()) return setTimeout(go, 50);
    try { window.__words = await (await fetch(`/api/words?lang=${lang()}`)).json(); } catch (_) { window.__words = {}; }
    lastRx = performance.now(); open(); setInterval(tick, 250);
    document.addEventListener("click", e => { const b = e.target.closest("button.do"); if (b) answer(b); });
    if ($("by")) $("by").value = localStorage.getItem("by") || "";
    document.addEventListener("keydown", e => { if (e.key === "f" && !e.target.closest("input")) document.documentElement.requestFullscreen(); if (e.key === "l") document.querySelector("header nav a:nth-child(2)").click(); });
  }
  document.readyState === "loading" ? addEventListener("DOMContentLoaded", go) : go();
})();
