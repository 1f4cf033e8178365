// An edge in words: who sends what to whom, by which way, and what that costs or saves.

import { link } from "./actor_parts.js";
import { h } from "./dom.js";
import { count, rate, size } from "./format.js";

export const EDGE_HEAD = ["sender", "port", "receiver", "route", "messages", "a second", "bytes encoded", "bytes saved"];
export const EDGE_NUMBERS = [4, 5, 6, 7];

export function routeOf(edge) {
  const kind = edge.route === "reference" ? "bundled" : "relayed";
  return h("span", { class: `mode ${kind}`, title: edge.reason }, edge.route);
}

// What an actor sends or is sent; the other end is a link, if it is an actor.
export function edgeCells(edge, self, actors) {
  const end = (name) => (name === self ? h("strong", {}, name) : actors.has(name) ? link(name) : name);
  return [end(edge.sender), edge.port || "–", end(edge.receiver), routeOf(edge), count(edge.messages), rate(edge.per_second), size(edge.bytes_encoded), size(edge.bytes_saved)];
}
