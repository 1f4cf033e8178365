// The page: one view at a time, chosen by the address; one stream of events for all; the buttons.

import { actor } from "./actor.js";
import { actors } from "./actors.js";
import { confirmDrain, confirmRollback } from "./buttons.js";
import { h, put } from "./dom.js";
import { edges } from "./edges.js";
import { count } from "./format.js";
import { letters } from "./letters.js";
import { migration } from "./migration.js";
import { Model } from "./model.js";
import { nursery } from "./nursery.js";
import { overview } from "./overview.js";
import { forget } from "./plot.js";
import { follow } from "./stream.js";

const VIEWS = [
  ["overview", "Overview", overview],
  ["migration", "Migration", migration],
  ["nursery", "Nursery", nursery],
  ["actors", "Actors", actors],
  ["edges", "Edges", edges],
  ["letters", "Dead letters", letters],
];
const model = new Model();
const remembered = new Map(VIEWS.map(([name]) => [name, {}]));
const main = document.querySelector("main");
const nav = document.querySelector("nav");
const place = document.querySelector(".place");
const connection = document.querySelector(".connection");
const buttons = document.querySelector(".buttons");
let state = ["connecting", ""];
let paused = false;
let view;
let due = false;

function route() {
  const [name, argument] = location.hash.replace(/^#\/?/, "").split("/");
  const at = name === "actor" ? ["actor", "Actor", actor] : (VIEWS.find(([each]) => each === name) ?? VIEWS[0]);
  view = at[2]({
    model,
    argument: decoded(argument ?? ""),
    go: (hash) => (location.hash = hash),
    remember: remembered.get(at[0]) ?? {},
  });
  view.name = at[0];
  main.replaceChildren(h("h1", { class: "unseen", tabindex: -1 }, view.title ?? at[1]), view.element);
  main.dataset.view = at[0];
  document.title = `${view.title ?? at[1]} · Spore`;
  window.scrollTo(0, 0);
  forget();
  show();
  nav.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // somebody has typed it
  }
}

function show() {
  due = false;
  const { source, totals, warnings, letters: kept } = model.sections;
  put(place, source.name ?? "");
  const [kind, why] = paused ? ["paused", ""] : state[0] === "live" && source.state ? [source.state, ""] : state;
  const said = { live: "live", none: "nothing runs", silent: "does not answer", lost: why || "connection lost; trying again", paused: "paused", connecting: "connecting" }[kind];
  put(connection, h("span", { class: `pill ${kind}`, "data-connection": kind, title: source.text ?? "" }, said));
  put(buttons, ...(source.buttons && totals ? [h("button", { type: "button", "data-key": "drain", "data-drain": "" }, "Drain and stop…")] : []));
  const numbers = { actors: totals?.actors, edges: model.edges.rows.size || null, letters: totals?.dead_letters || kept.length || null, overview: warnings.length || null, migration: model.measured.some((run) => run.goes_on && !run.end) ? "live" : null };
  put(
    nav,
    ...VIEWS.map(([name, title], index) =>
      h(
        "a",
        { href: `#/${name}`, "data-key": name, title: `${title} (${index + 1})`, "aria-current": name === view.name || (name === "actors" && view.name === "actor") ? "page" : null },
        title,
        numbers[name] ? h("span", { class: `number ${{ overview: "unwell", migration: "well" }[name] ?? ""}` }, typeof numbers[name] === "number" ? count(numbers[name]) : numbers[name]) : null,
      ),
    ),
  );
  view.update();
}

function soon() {
  if (due || document.hidden) return;
  due = true;
  requestAnimationFrame(show);
}

function press(event) {
  if (event.target.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
  const number = Number(event.key);
  if (number >= 1 && number <= VIEWS.length) location.hash = `#/${VIEWS[number - 1][0]}`;
  else if (event.key === "/" && view.filter) view.filter.focus();
  else if (event.key === "Escape" && view.name === "actor") location.hash = "#/actors";
  else if (event.key === "p") {
    paused = !paused;
    soon();
    return;
  } else return;
  event.preventDefault();
}

addEventListener("hashchange", route);
addEventListener("keydown", press);
document.addEventListener("visibilitychange", soon);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.rollback) confirmRollback(button.dataset.rollback);
  else if (button?.hasAttribute("data-drain")) confirmDrain(model.sections.source.name);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.querySelector("h1").focus();
});
route();
follow({
  onEvent: (event) => {
    model.apply(event);
    if (!paused) soon();
  },
  onState: (kind, why = "") => {
    if (state[0] === kind && state[1] === why) return;
    state = [kind, why];
    soon();
  },
});
