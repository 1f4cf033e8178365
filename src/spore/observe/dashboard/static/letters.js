// Dead letters: messages that were not handled, by actor and reason, with what was raised and where.

import { link } from "./actor_parts.js";
import { h, put, table } from "./dom.js";
import { ago, clock, count, plural } from "./format.js";
import { matching } from "./grid.js";

const GIVEN_UP = ["full", "dropped_oldest", "dropped_newest", "conflated"]; // by an overflow policy: whoever chose it has meant it
const MOST = 200; // rows; more is narrowed down
const WITHOUT_POLICIES = "-policies";

export function letters({ model, remember }) {
  remember.open ??= new Set();
  const changed = (name) => (event) => {
    remember[name] = event.target.value;
    update();
  };
  const who = h("select", { id: "letters-actor", "aria-label": "Actor", onchange: changed("actor") });
  const why = h("select", { id: "letters-reason", "aria-label": "Reason", onchange: changed("reason") });
  const filter = h("input", { type: "search", id: "filter", placeholder: "such as: ValueError price", "aria-label": "Search dead letters by words", value: remember.filter ?? "", autocomplete: "off", oninput: changed("filter") });
  const found = h("output", { class: "quiet", for: "letters-actor letters-reason filter" });
  const head = h("h2");
  const list = h("div");
  const element = h("div", {}, h("div", {}, head, h("div", { class: "tools" }, filter, who, why, found)), list);

  function update() {
    const { letters: kept, totals } = model.sections;
    put(head, totals ? plural(totals.dead_letters, "dead letter", "dead letters") : "Dead letters", h("small", {}, "messages that were not handled; the newest of each actor and reason are kept"));
    choose(who, ["", "all actors"], tally(kept, (letter) => letter.actor), remember.actor);
    choose(why, ["", "all reasons"], [[WITHOUT_POLICIES, "all but overflow policies"], ...tally(kept, (letter) => letter.reason)], remember.reason);
    const fits = (letter) =>
      (!remember.actor || letter.actor === remember.actor) &&
      (!remember.reason || (remember.reason === WITHOUT_POLICIES ? !GIVEN_UP.includes(letter.reason) : letter.reason === remember.reason));
    const rows = matching(kept.filter(fits), filter.value, words);
    found.value = rows.length === kept.length ? `${count(kept.length)} kept` : `${count(rows.length)} of ${count(kept.length)} kept`;
    const nothing = kept.length ? "No dead letter is like that." : !totals ? "Nothing runs that could have any." : totals.dead_letters ? "None is kept any more." : "There are none.";
    put(list, rows.length ? letterTable(rows.slice(0, MOST), model, remember.open) : h("p", { class: "quiet" }, nothing), rows.length > MOST && h("p", { class: "quiet" }, `and ${count(rows.length - MOST)} more: choose an actor or a reason, or search`));
  }
  return { element, update, filter };
}

const words = (letter) => [letter.actor, letter.sender, letter.reason, letter.message, letter.text, letter.error, letter.traceback, letter.process].join(" ");

// Each value with how many have it, by name.
function tally(kept, of) {
  const counts = new Map();
  for (const letter of kept) counts.set(of(letter), (counts.get(of(letter)) ?? 0) + 1);
  return [...counts].sort(([one], [other]) => (one < other ? -1 : 1)).map(([name, number]) => [name, `${name.replaceAll("_", " ")} (${count(number)})`]);
}

// What was chosen stays, also while there is none of it.
function choose(select, first, options, chosen = "") {
  const gone = chosen && !options.some(([value]) => value === chosen) ? [[chosen, chosen.replaceAll("_", " ")]] : [];
  put(select, ...[first, ...options, ...gone].map(([value, text]) => h("option", { value }, text)));
  select.value = chosen;
}

// Open is a set of those whose traceback is shown; it is kept while others come.
export function letterTable(kept, model, open) {
  const now = model.sections.at_ms;
  const rows = kept.map((letter) => {
    const at = letter.at_ns / 1e6;
    const key = `${letter.process} ${letter.pid} ${letter.number}`;
    return [
      letter.at_ns ? h("time", { datetime: new Date(at).toISOString(), title: ago(now - at) }, clock(at)) : "–",
      h("span", {}, link(letter.actor), h("small", {}, letter.process)),
      h("span", { class: GIVEN_UP.includes(letter.reason) ? "reason" : "reason unmet" }, letter.reason.replaceAll("_", " ")),
      h("code", {}, letter.message),
      letter.sender || "–",
      h("div", { class: "content" }, h("code", { class: "repr" }, letter.text), letter.error && h("p", { class: "unmet" }, letter.error), letter.traceback && traceback(letter, key, open)),
    ];
  });
  return table("Dead letters, the newest first", ["when", "actor", "reason", "message", "from", "content"], rows, { className: "letters" });
}

function traceback(letter, key, open) {
  const ontoggle = ({ target }) => (target.open ? open.add(key) : open.delete(key));
  return h("details", { open: open.has(key), ontoggle }, h("summary", { "data-key": `traceback ${key}` }, "traceback"), h("pre", {}, letter.traceback));
}
