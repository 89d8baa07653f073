"use strict";
// All text of models is set as text, never as markup.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures-data");
  const data = read("answers-data");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const PALETTES = {
    light: ["#0072b2", "#d55e00", "#007f5f", "#a33d8f", "#8a6d00", "#4b5fc0", "#c2334d", "#3d7a1f"],
    dark: ["#56b4e9", "#ff9955", "#35d0a5", "#e495cf", "#e6c84f", "#9fb0ff", "#ff8fa3", "#9fd67a"],
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function themed(figure) {
    const palette = PALETTES[dark.matches ? "dark" : "light"];
    const copy = JSON.parse(JSON.stringify(figure));
    for (const trace of copy.data) {
      const which = trace.meta.colour;
      const shade = which === "muted" ? colour("muted") : palette[which % palette.length];
      trace.marker.color = shade;
      trace.marker.line = { width: 0, ...trace.marker.line, color: shade };
      for (const error of [trace.error_x, trace.error_y]) if (error) error.color = shade;
    }
    const axis = { gridcolor: colour("grid"), zerolinecolor: colour("line"), linecolor: colour("line") };
    Object.assign(copy.layout, {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "system-ui, sans-serif", size: 13, color: colour("ink") },
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      xaxis: { ...copy.layout.xaxis, ...axis, fixedrange: true },
      yaxis: { ...copy.layout.yaxis, ...axis, fixedrange: true },
    });
    return copy;
  }

  function draw() {
    for (const place of document.querySelectorAll(".plot")) {
      if (place.offsetParent === null) continue;
      const { data: traces, layout } = themed(figures[place.dataset.figure]);
      Plotly.react(place, traces, layout, { responsive: true, displayModeBar: false });
    }
  }

  function chooseGroup() {
    const chosen = document.getElementById("group-suite");
    if (!chosen) return;
    for (const group of document.querySelectorAll(".group")) group.hidden = group.dataset.suite !== chosen.value;
    draw();
  }

  document.getElementById("group-suite")?.addEventListener("change", chooseGroup);
  dark.addEventListener("change", draw);
  chooseGroup();
  draw();

  // The answers.
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  const more = document.getElementById("more");
  const BATCH = 20;
  let found = [];
  let shown = 0;

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const options = (select, pairs) => select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value)));

  function fillGroups() {
    const suite = form.suite.value;
    const groups = new Set(data.items.filter((item) => suite === "" || item.suite === +suite).map((item) => item.group));
    options(form.group, [["", "all"], ...[...groups].sort().map((group) => ["=" + group, group])]);
  }

  const OUTCOMES = {
    right: (answers) => answers.every((answer) => answer.score === 1),
    wrong: (answers) => answers.some((answer) => answer.score < 1),
    failed: (answers) => answers.some((answer) => answer.failure !== null),
    unread: (answers) => answers.some((answer) => answer.failure === null && answer.extracted === null),
  };
  const differs = (item) => item.answers.some((answer) => answer.score !== item.answers[0].score);
  const text = (item) =>
    (item.searched ??= [item.id, item.group, item.prompt, item.reference]
      .concat(item.answers.flatMap((answer) => [answer.text, answer.extracted ?? "", answer.failure ?? ""]))
      .join("\n")
      .toLowerCase());

  function answersOf(item) {
    const model = form.model.value;
    return model === "" ? item.answers : item.answers.filter((answer) => answer.model === +model);
  }

  function fits(item) {
    if (form.suite.value !== "" && item.suite !== +form.suite.value) return false;
    if (form.group.value !== "" && "=" + item.group !== form.group.value) return false;
    const answers = answersOf(item);
    if (answers.length === 0) return false;
    const outcome = form.outcome.value;
    if (outcome === "differs" ? !differs(item) : outcome !== "" && !OUTCOMES[outcome](answers)) return false;
    const search = form.search.value.trim().toLowerCase();
    return search === "" || text(item).includes(search);
  }

  function filter() {
    found = data.items.filter(fits);
    shown = 0;
    list.replaceChildren();
    const all = data.items.length.toLocaleString("en");
    document.getElementById("count").textContent =
      found.length === data.items.length ? `${all} questions` : `${found.length.toLocaleString("en")} of ${all} questions`;
    showMore();
  }

  function showMore() {
    list.append(...found.slice(shown, shown + BATCH).map(card));
    shown = Math.min(found.length, shown + BATCH);
    more.hidden = shown >= found.length;
  }

  function card(item) {
    const article = element("article");
    article.append(element("h3", "", [data.suites[item.suite].title, item.group, item.id].join(" · ")));
    const prompt = element("pre", "prompt", item.prompt);
    prompt.tabIndex = 0;
    const reference = referenceOf(item.reference);
    const side = element("div", "side");
    side.append(...answersOf(item).map(answer));
    article.append(prompt, reference, side);
    return article;
  }

  // A short one is shown; tests and lists of instructions wait behind a summary, key by key.
  function referenceOf(text) {
    if (text.length <= 200 && !text.startsWith("{")) {
      const shown = element("p", "reference");
      shown.append("Reference: ", element("b", "", text));
      return shown;
    }
    const folded = element("details", "reference");
    const body = element("pre", "prompt", readable(text));
    body.tabIndex = 0;
    folded.append(element("summary", "", "Reference"), body);
    return folded;
  }

  function readable(text) {
    try {
      const parts = Object.entries(JSON.parse(text));
      const plain = (value) => (typeof value === "string" ? value.trim() : JSON.stringify(value, null, 2));
      return parts.map(([key, value]) => `${key}:\n${plain(value)}`).join("\n\n");
    } catch {
      return text;
    }
  }

  function answer(one) {
    const kind = one.score === 1 ? "right" : one.score === 0 ? "wrong" : "partly";
    const word = one.failure !== null ? "failed" : kind === "partly" ? `${Math.round(100 * one.score)} % right` : kind;
    const box = element("div", "answer " + kind);
    const head = element("header");
    const sample = one.sample > 0 ? `, sample ${one.sample + 1}` : "";
    const sign = { right: "✓ ", wrong: "✗ ", partly: "◐ " }[kind];
    head.append(element("span", "", data.models[one.model] + sample), element("span", "mark", sign + word));
    const body = element("pre", "", one.failure ?? one.text);
    body.tabIndex = 0;
    const facts = [
      one.extracted === null ? "no answer found" : one.extracted.length < 80 ? `read as ${one.extracted}` : "",
      one.detail.split("\n")[0],
      one.finish && one.finish !== "end_turn" && one.finish !== "stop" ? `ended by ${one.finish}` : "",
      `${one.tokens} tokens, ${one.seconds.toFixed(2)} s${one.cached ? ", cached" : ""}`,
    ];
    box.append(head, body, element("footer", "", facts.filter(Boolean).join(" · ")));
    return box;
  }

  options(form.suite, [["", "all"], ...data.suites.map((suite, place) => [place, suite.title])]);
  options(form.model, [["", "all, side by side"], ...data.models.map((model, place) => [place, model])]);
  fillGroups();
  let waiting;
  form.addEventListener("input", (event) => {
    if (event.target === form.suite) fillGroups();
    clearTimeout(waiting);
    waiting = setTimeout(filter, event.target === form.search ? 150 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", showMore);
  new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && shown && showMore(), {
    rootMargin: "600px",
  }).observe(more);
  filter();
})();
