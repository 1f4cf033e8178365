// What the page knows of the system: the last of each section, tables by key, and what was over time.

const KEPT = 300; // looks, one a second

export class Sheet {
  constructor() {
    this.columns = {};
    this.rows = new Map();
    this.version = 0;
  }

  apply({ columns, whole, changed = [], gone = [] }) {
    if (columns) this.columns = Object.fromEntries(columns.map((name, index) => [name, index]));
    if (whole) this.rows.clear();
    for (const key of gone) this.rows.delete(key);
    for (const row of changed) this.rows.set(row[0], row);
    this.version += 1;
  }

  value(row, name) {
    return row[this.columns[name]];
  }

  // A row with names, for where there are few.
  named(row) {
    return Object.fromEntries(Object.entries(this.columns).map(([name, index]) => [name, row[index]]));
  }

  all() {
    return [...this.rows.values()].map((row) => this.named(row));
  }
}

export class Model {
  constructor() {
    this.actors = new Sheet();
    this.edges = new Sheet();
    this.runs = new Sheet();
    this.history = [];
    this.sections = { source: {}, totals: null, bundles: [], processes: [], shadows: [], letters: [], warnings: [] };
    this.watched = { name: null, history: [] };
  }

  apply(event) {
    const { actors, edges, runs, history, ...sections } = event;
    if (actors) this.actors.apply(actors);
    if (edges) this.edges.apply(edges);
    if (runs) this.runs.apply(runs);
    if (history) {
      if (history.whole) this.history = [];
      this.history.push(...history.points);
      this.history.splice(0, this.history.length - KEPT);
    }
    Object.assign(this.sections, sections);
    this.note();
  }

  // Of commands that measure, newest first.
  get measured() {
    return [...this.runs.rows.values()].map(([, run]) => run).sort((one, other) => (one.name < other.name ? 1 : -1));
  }

  // Keep what becomes of one actor.
  watch(name) {
    if (this.watched.name !== name) this.watched = { name, history: [] };
    this.note();
  }

  note() {
    const row = this.watched.name && this.actors.rows.get(this.watched.name);
    if (!row) return;
    const { history } = this.watched;
    const at = this.sections.at_ms;
    if (history.length && history[history.length - 1].at_ms === at) return;
    history.push({ at_ms: at, ...this.actors.named(row) });
    history.splice(0, history.length - KEPT);
  }
}
