// Parts that several views show of actors and bundles.

import { h, table } from "./dom.js";
import { count, percent, rate } from "./format.js";

const MODES = { shared_memory: "bundled", relay: "relayed", distributed: "relayed" };

export const actorAddress = (name) => `#/actor/${encodeURIComponent(name)}`;

export const link = (name) => h("a", { href: actorAddress(name), "data-key": `actor ${name}` }, name);

// Never by colour alone: the word is there as well.
export function actorState(state) {
  return h("span", { class: `state ${state}` }, state);
}

export function modeOf(mode) {
  return h("span", { class: `mode ${MODES[mode] ?? ""}` }, MODES[mode] ?? mode);
}

export function bundleRows(model) {
  const { bundles, source } = model.sections;
  return table(
    "Bundles, with where their actors run",
    ["bundle", "mode", "actors", "messages a second", "CPU", "queued", "lost", "restarts", ...(source.buttons ? [""] : [])],
    bundles.map((bundle) => [
      bundle.name,
      modeOf(bundle.mode),
      count(bundle.actors),
      rate(bundle.per_second),
      percent(bundle.cpu),
      count(bundle.queued),
      count(bundle.lost + bundle.failed),
      count(bundle.restarts),
      ...(source.buttons ? [rollBack(bundle)] : []),
    ]),
    { numbers: [2, 3, 4, 5, 6, 7] },
  );
}

// Pressed, it is handled where all buttons are: see main.js.
function rollBack(bundle) {
  if (bundle.mode !== "shared_memory") return h("span", { class: "quiet" }, "runs relayed");
  return h(
    "button",
    { type: "button", "data-key": `rollback ${bundle.name}`, "data-rollback": bundle.name },
    "Roll back to the relay…",
  );
}
