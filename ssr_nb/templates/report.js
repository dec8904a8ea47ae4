"use strict";
// Whatever a model said reaches the page as text: nodes are made here, and no string is ever read as HTML.
function node(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter(child => child !== null && child !== ""));
  return made;
}

// Tables whose headings are buttons: a press sorts by that column, a second press the other way round.
for (const button of document.querySelectorAll("thead button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement, row = heading.parentElement;
    const column = [...row.children].indexOf(heading), body = heading.closest("table").tBodies[0];
    const numeric = heading.classList.contains("number"), before = heading.getAttribute("aria-sort");
    const descending = before ? before === "ascending" : numeric;  // of figures, the highest first
    const key = tr => tr.children[column].dataset.value;
    const compare = (a, b) => numeric ? Number(a) - Number(b) : a.localeCompare(b);
    const filled = [...body.rows].filter(tr => key(tr) !== ""), empty = [...body.rows].filter(tr => key(tr) === "");
    filled.sort((a, b) => compare(key(a), key(b)) * (descending ? -1 : 1));
    for (const other of row.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    body.append(...filled, ...empty);  // rows without a figure stay last
  });
}

const only = document.getElementById("only-quoted");
if (only) only.addEventListener("change", () => {
  for (const tr of document.querySelectorAll("#arms tbody tr")) tr.hidden = only.checked && !tr.classList.contains("quoted");
});

const PAGE = 20;
const store = document.getElementById("examples-data");
if (store) browse(JSON.parse(store.textContent));

function browse(data) {
  const field = name => document.getElementById(name), list = field("items"), more = field("more");
  const text = number => data.strings[number];
  const isRight = answer => answer.label === "correct";
  let found = [], shown = 0;

  const searched = item => {
    const numbers = [item.prompt, item.gold, ...item.own.flatMap(a => [a.text, a.reason])];
    for (const after of item.after) if (after) for (const a of [].concat(after)) numbers.push(a.text, a.reason);
    const said = [...new Set(numbers)].map(n => n === undefined || n === null ? "" : text(n));
    return [item.id, ...said].join("\n").toLowerCase();
  };
  const changeOf = (item, m) => {
    if (item.set !== "test" || !item.after[m] || !item.own.length) return "";
    return (isRight(item.own[0]) ? "right" : "wrong") + "-" + (isRight(item.after[m]) ? "right" : "wrong");
  };

  function matches(item) {
    const change = field("change").value, method = field("method").value, verdict = field("verdict").value, task = field("task").value;
    if (item.set !== field("set").value) return false;
    if (item.set === "test" && task && String(item.task) !== task) return false;
    if (verdict && !item.own.some(answer => answer.label === verdict)) return false;
    if (item.set === "test" && change) {
      const methods = method === "" ? data.methods.keys() : [Number(method)];
      if (![...methods].some(m => changeOf(item, m) === change)) return false;
    }
    const words = field("search").value.trim().toLowerCase();
    if (words) { item.searched ??= searched(item); if (!item.searched.includes(words)) return false; }
    return true;
  }

  const said = number => { const p = node("p", "said", text(number)); p.dir = "auto"; return p; };
  const chip = (label, className) => node("span", "chip " + className, label);
  const verdictChip = answer => chip(answer.label, isRight(answer) ? "correct" : "wrong");
  const why = answer => answer.reason === null || answer.reason === undefined ? null : node("p", "note", "why: " + text(answer.reason));
  function who(m) {
    const mark = document.querySelector(`#marks [data-method="${m}"]`), label = node("span", "who");
    if (mark) label.append(mark.cloneNode(true));
    label.append(data.methods[m].name);
    return label;
  }

  function answerBox(people, answer, chips, className) {
    return node("div", "answer " + className, node("div", "", ...people, ...chips.filter(Boolean)), said(answer.text), why(answer));
  }

  // Methods that gave the same answer share a box: with many methods most do.
  function afterBoxes(item) {
    const boxes = new Map();
    item.after.forEach((after, m) => {
      for (const answer of after === null ? [] : [].concat(after)) {
        const key = [answer.text, answer.label, answer.reason, answer.source, answer.seeds].join("|");
        if (!boxes.has(key)) boxes.set(key, { answer, methods: [] });
        boxes.get(key).methods.push(m);
      }
    });
    return [...boxes.values()].map(({ answer, methods }) => {
      if (item.set === "train") return answerBox(methods.map(who), answer, [chip("from: " + answer.source, "")], "");
      const change = changeOf(item, methods[0]), differs = change === "right-wrong" || change === "wrong-right";
      const seeds = answer.seeds ? chip(`right in ${answer.seeds[0]} of ${answer.seeds[1]} seeds`, "") : null;
      const chips = [verdictChip(answer), seeds, differs ? chip(change.replace("-", " → "), isRight(answer) ? "correct" : "wrong") : null];
      return answerBox(methods.map(who), answer, chips, isRight(answer) ? "correct" : "wrong");
    });
  }

  function fill(item, body) {
    const test = item.set === "test", dropped = item.after.flatMap((after, m) => after === null ? [who(m)] : []);
    body.append(node("h3", "", "Prompt"), item.prompt === null ? node("p", "note", "not in the run's folder") : said(item.prompt));
    body.append(node("h3", "", "Gold answer"), item.gold === null ? node("p", "note", "not in the run's folder") : said(item.gold));
    body.append(node("h3", "", test ? "Before: the base model's answer" : "The base model's own answer"));
    body.append(...(item.own.length ? item.own.map(a => answerBox([], a, [verdictChip(a)], isRight(a) ? "correct" : "wrong")) : [node("p", "note", "none")]));
    body.append(node("h3", "", test ? "After fine-tuning, each method at its best rate" : "What each method trains on"), ...afterBoxes(item));
    if (dropped.length && !test) body.append(node("div", "answer", ...dropped, node("span", "note", "dropped: not trained on")));
    body.append(node("p", "note", (test ? "task: " + text(item.task) + ", " : "") + "id: " + item.id));
  }

  function card(item) {
    const preview = node("span", "said", text(item.prompt ?? item.own[0]?.text ?? item.gold) ?? item.id), head = node("summary", ""), body = node("div", "");
    preview.dir = "auto";
    head.append(...(item.set === "test" ? [chip(text(item.task), "")] : []), ...item.own.slice(0, 1).map(a => chip("base: " + a.label, isRight(a) ? "correct" : "wrong")));
    for (const change of ["right-wrong", "wrong-right"]) {
      const names = data.methods.filter((_, m) => changeOf(item, m) === change).map(method => method.name);
      if (!names.length) continue;
      const whose = names.length > 3 ? names.length + " methods" : names.join(", ");
      head.append(chip(change.replace("-", " → ") + ": " + whose, change === "wrong-right" ? "correct" : "wrong"));
    }
    head.append(preview);
    const details = node("details", "item", head, body);
    details.addEventListener("toggle", () => { if (details.open && !body.hasChildNodes()) fill(item, body); });
    return details;
  }

  function showMore() {
    const next = found.slice(shown, shown + PAGE).map(card);
    list.append(...next);
    shown += next.length;
    more.hidden = shown >= found.length;
    field("count").textContent = `${found.length} ${found.length === 1 ? "item matches" : "items match"}, ${shown} shown.`;
    return next[0];
  }

  function update() {
    for (const name of ["task", "change", "method"]) field(name).closest("label").hidden = field("set").value !== "test";
    found = data.items.filter(matches);
    shown = 0;
    list.replaceChildren();
    showMore();
  }

  for (const name of ["set", "task", "verdict", "change", "method"]) field(name).addEventListener("change", update);
  field("search").addEventListener("input", update);
  field("filters").addEventListener("submit", event => event.preventDefault());
  field("filters").addEventListener("reset", () => setTimeout(update));
  more.addEventListener("click", () => { const first = showMore(); if (first) first.querySelector("summary").focus(); });
  update();
}
