// Who waits for whom: senders that have to wait for room at an actor, and for what that one waits itself.

import { actorState, link } from "./actor_parts.js";
import { h, put, table } from "./dom.js";
import { count, plural } from "./format.js";

const WAITED_FOR = ["block", "conflate"]; // with the other policies nobody waits for room
const MOST = 20;

// By receiver, the senders that have to wait for it now.
export function waits(model) {
  const found = new Map();
  const { actors, edges } = model;
  for (const row of edges.rows.values()) {
    const receiver = actors.rows.get(edges.value(row, "receiver"));
    if (!receiver) continue;
    const waited = WAITED_FOR.includes(actors.value(receiver, "overflow"));
    if (!edges.value(row, "denied") && !(waited && edges.value(row, "full"))) continue;
    const name = edges.value(row, "receiver");
    found.set(name, [...(found.get(name) ?? []), edges.value(row, "sender")]);
  }
  for (const row of actors.rows.values()) {
    const name = actors.value(row, "name");
    if (actors.value(row, "blocked") && !found.has(name)) found.set(name, []); // they are known by number only
  }
  return found;
}

// The actors from one that waits to the one at the end, which holds up all of them.
export function chain(found, name) {
  const row = [name];
  for (;;) {
    const next = [...found].find(([, senders]) => senders.includes(row[row.length - 1]))?.[0];
    if (!next || row.includes(next)) return row;
    row.push(next);
  }
}

// Of all actors: nothing where nobody waits.
export function showWaits(section, model) {
  const found = waits(model);
  section.hidden = !found.size;
  if (!found.size) return;
  const rows = [...found].slice(0, MOST).map(([name, senders]) => {
    const it = model.actors.named(model.actors.rows.get(name));
    const held = chain(found, name).slice(1);
    return [senders.length ? ends(senders, model) : plural(it.blocked, "sender", "senders"), link(name), actorState(it.state), `${count(it.queued)} of ${count(it.capacity)}`, held.length ? ends(held, model) : "–"];
  });
  put(section, h("h2", {}, "Who waits for whom", found.size > MOST && h("small", {}, `and ${count(found.size - MOST)} more`)), table("Senders that wait for room at an actor", ["waits", "for", "which is", "queued", "and waits for"], rows));
}

// Of one actor, in sentences.
export function waitsOf(model, it) {
  const found = waits(model);
  const senders = found.get(it.name) ?? [];
  const next = chain(found, it.name).slice(1);
  return [
    (senders.length || it.blocked) && h("p", { class: "held" }, senders.length ? ends(senders, model) : plural(it.blocked, "sender", "senders"), ` ${senders.length === 1 || (!senders.length && it.blocked === 1) ? "waits" : "wait"} for room here: ${it.state === "running" ? "" : `it is ${it.state}, and `}${count(it.queued)} of ${count(it.capacity)} are queued.`),
    next.length && h("p", { class: "held" }, "It waits for room at ", ends(next.slice(0, 1), model), ...(next.length > 1 ? [", which waits for ", ...ends(next.slice(1), model)] : []), "."),
  ].filter(Boolean);
}

function ends(names, model) {
  return names.slice(0, MOST).flatMap((name, at) => [at ? ", " : "", model.actors.rows.has(name) ? link(name) : name]);
}
