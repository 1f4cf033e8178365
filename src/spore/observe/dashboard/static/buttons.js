// What changes the system: asked once more, and shown step by step.

import { h } from "./dom.js";

export function confirmRollback(bundle) {
  ask({
    title: `Roll ${bundle} back to the relay?`,
    text: "Its configuration is backed up, the running bundle is switched to processes of its own that talk through the relay, and the file is changed with it. Senders wait meanwhile; nothing is lost. If a step fails, all is as it was.",
    verb: "Roll back",
    address: "do/rollback",
    body: { bundle },
  });
}

export function confirmDrain(name) {
  ask({
    title: `Drain and stop ${name}?`,
    text: "Feeds end, everything that was sent is handled, and then the whole system stops, as it does at SIGTERM. It is not started again by itself.",
    verb: "Drain and stop",
    address: "do/drain",
    body: {},
  });
}

function ask({ title, text, verb, address, body }) {
  const steps = h("output", { class: "steps" });
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const go = h("button", { type: "button", class: "danger", onclick: carryOut }, verb);
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() }, h("h2", { id: "dialog-title" }, title), h("p", {}, text), steps, h("div", { class: "choices" }, cancel, go));
  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();

  async function carryOut() {
    go.disabled = true;
    steps.value = "…";
    try {
      const response = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
      steps.value = await response.text();
      steps.classList.toggle("unmet", !response.ok);
    } catch (error) {
      steps.value = `There was no answer: ${error.message}`;
    }
    cancel.textContent = "Close";
    cancel.focus();
  }
}
