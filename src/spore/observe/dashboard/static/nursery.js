// The tree of nurseries: node, bundle, actor; each with its state, so that one sees where something has failed.

import { actorAddress, actorState, modeOf } from "./actor_parts.js";
import { h } from "./dom.js";
import { count, percent, plural, rate } from "./format.js";
import { Grid } from "./grid.js";

const FEW = 60; // so many actors of a bundle are shown without being asked for

export function nursery({ model, go, remember }) {
  remember.open ??= new Map();
  const columns = [
    { name: "name", title: "nursery", width: 190, wide: 3, rank: 0, text: (row) => row.name, mark: (row) => `${row.key} ${row.level} ${row.opened}`, node: named },
    { name: "state", title: "state", width: 118, rank: 1, text: (row) => row.state, mark: (row) => `${row.kind} ${row.state}`, node: stateOf },
    { name: "busy", title: "busy", width: 72, rank: 5, number: true, meaning: "of an actor, the share of the time in its handler; of a bundle, the CPU of its processes", text: (row) => percent(row.busy) },
    { name: "rate", title: "a second", width: 88, rank: 4, number: true, text: (row) => rate(row.per_second) },
    { name: "queued", title: "queued", width: 76, rank: 6, number: true, text: (row) => count(row.queued) },
    { name: "restarts", title: "restarts", width: 80, rank: 2, number: true, text: (row) => count(row.restarts) },
    { name: "error", title: "last error", width: 220, wide: 3, rank: 3, text: (row) => row.last_error ?? "" },
  ];
  const grid = new Grid({ label: "Tree of nurseries", columns, key: (row) => row.key, open, empty: "Nothing runs." });
  grid.element.setAttribute("role", "treegrid");
  grid.element.addEventListener("keydown", (event) => {
    const row = { ArrowRight: true, ArrowLeft: false }[event.key];
    const active = grid.shown.find((each) => each.key === grid.active);
    if (row === undefined || !active || active.kind === "actor" || active.opened === row) return;
    open(active);
  });
  const fill = grid.fill.bind(grid);
  grid.fill = (row, at) => {
    fill(row, at);
    const { level, opened, kind } = grid.shown[at];
    row.setAttribute("aria-level", level + 1);
    if (kind === "actor") row.removeAttribute("aria-expanded");
    else row.setAttribute("aria-expanded", opened);
  };
  const element = h("div", { class: "full" }, h("p", { class: "quiet hint" }, "Enter opens a bundle or an actor; arrow keys walk."), grid.element);

  function open(row) {
    if (row.kind === "actor") go(actorAddress(row.name));
    else {
      remember.open.set(row.key, !row.opened);
      update();
    }
  }

  function update() {
    grid.show(flattened(model, remember.open));
  }
  return { element, update };
}

function named(row) {
  const sign = row.kind === "actor" ? "" : row.opened ? "▾" : "▸";
  return h("span", { class: `branch ${row.kind}`, style: `padding-inline-start:${row.level * 1.1}rem` }, h("span", { class: "sign", "aria-hidden": "true" }, sign), h("span", { class: "label" }, row.name), row.note && h("small", {}, row.note));
}

function stateOf(row) {
  if (row.kind === "bundle") return h("span", {}, modeOf(row.mode));
  return row.kind === "actor" ? actorState(row.state) : h("span", { class: `state ${row.state}` }, row.state);
}

// Rows in the order of the tree; of what is closed, only itself.
function flattened(model, opened) {
  const { bundles, source } = model.sections;
  const byBundle = new Map();
  for (const actor of model.actors.all()) {
    if (!byBundle.has(actor.bundle)) byBundle.set(actor.bundle, []);
    byBundle.get(actor.bundle).push(actor);
  }
  const nodes = new Map();
  for (const bundle of bundles) {
    const node = bundle.node || "this machine";
    if (!nodes.has(node)) nodes.set(node, []);
    nodes.get(node).push(bundle);
  }
  const rows = [];
  for (const [node, of] of nodes) {
    const key = `node ${node}`;
    const isOpen = opened.get(key) ?? true;
    rows.push({ key, kind: "node", level: 0, name: node, note: plural(of.length, "bundle", "bundles"), state: source.state === "live" ? "running" : "silent", opened: isOpen, ...sum(of) });
    for (const bundle of isOpen ? of : []) {
      const members = byBundle.get(bundle.name) ?? [];
      const key = `bundle ${bundle.name}`;
      const isOpen = opened.get(key) ?? members.length <= FEW;
      const failing = members.filter((each) => each.state === "suspended").length;
      rows.push({ ...bundle, busy: bundle.cpu, key, kind: "bundle", level: 1, state: bundle.mode, note: plural(members.length, "actor", "actors") + (failing ? `, ${count(failing)} suspended` : ""), opened: isOpen, last_error: null });
      for (const member of isOpen ? members : []) rows.push({ ...member, key: `actor ${member.name}`, kind: "actor", level: 2, note: "" });
    }
  }
  return rows;
}

function sum(bundles) {
  const of = (name) => bundles.reduce((total, each) => total + (each[name] ?? 0), 0);
  return { busy: null, per_second: of("per_second"), queued: of("queued"), restarts: of("restarts") };
}
