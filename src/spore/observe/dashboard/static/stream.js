// The server's events, as long as the page is open: lost, they are asked for again, and the first ones then tell everything.
// By fetch and not by EventSource, which does not say why it was refused.

const SILENCE_MS = 8000; // there is an event a second, and one every few where a system does not answer
const WAITS_MS = [250, 500, 1000, 2000];

export async function follow({ onEvent, onState }) {
  let failures = 0;
  for (;;) {
    try {
      await read((event) => {
        failures = 0;
        onState("live");
        onEvent(event);
      });
    } catch (error) {
      onState("lost", error instanceof Refused ? error.message : "");
    }
    await new Promise((done) => setTimeout(done, WAITS_MS[Math.min(failures, WAITS_MS.length - 1)]));
    failures += 1;
  }
}

class Refused extends Error {}

async function read(onEvent) {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await fetch("events", { signal: silence.signal, cache: "no-store" });
    if (response.status === 401) location.assign("login"); // the server was started again, and knows no session of before
    if (!response.ok) throw new Refused(await response.text());
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the server has gone");
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) onEvent(JSON.parse(event.slice(event.indexOf("data: ") + 6)));
    }
  } finally {
    clearTimeout(timer);
    silence.abort(); // lets go of a connection that hangs
  }
}
