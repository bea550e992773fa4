"use strict";
// Draws what the blobs of the page hold; see wgf/view/scenes.py for what is in them. A page from a
// server has no blobs and asks for them.

const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"];
const BLUES = [[0, "#f7fbff"], [0.25, "#c6dbef"], [0.5, "#6baed6"], [0.75, "#2171b5"], [1, "#08306b"]];
const BOTH = [[0, "#6B2A00"], [0.17, "#D55E00"], [0.33, "#F7D3B8"], [0.5, "#fff"], [0.67, "#BCDDF0"], [0.83, "#0072B2"], [1, "#00304D"]];
const DECADES = 4;
// edges of pixels and cells that meet up to round-off overlap by less
const TOUCH = 1e-6;
const find = (id) => document.getElementById(id);
const held = new Map();
for (const each of document.querySelectorAll("script[data-name]")) held.set(each.dataset.name, each);
const live = !held.size;
const frames = new Map();
let runs = [];
let shown = 0;
let drawing = Promise.resolve();

// seven bits a character; see text() in wgf/view/blobs.py
function bytesOf(text) {
  const bytes = new Uint8Array(Math.floor((text.length * 7) / 8));
  let held = 0, bits = 0, at = 0;
  for (let i = 0; i < text.length; i++) {
    held = (held << 7) | (text.charCodeAt(i) & 127);
    bits += 7;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return bytes;
}

async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const all = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(all.buffer).getUint32(0, true);
  const found = JSON.parse(new TextDecoder().decode(all.subarray(4, 4 + length)));
  let at = Math.ceil((4 + length) / 8) * 8;
  found.held = {};
  for (const { name, shape, kind } of found.arrays) {
    const count = shape.reduce((a, b) => a * b, 1);
    const size = kind === "f8" ? 8 : 4;
    const plain = new Uint8Array(count * size);
    for (let b = 0; b < size; b++)
      for (let i = 0; i < count; i++) plain[i * size + b] = all[at + b * count + i];
    const values = kind === "f8" ? new Float64Array(plain.buffer) : new Int32Array(plain.buffer);
    found.held[name] = { shape, values };
    at += Math.ceil((count * size) / 8) * 8;
  }
  return found;
}

async function read(name) {
  if (!live) return unpack(bytesOf(held.get(name).textContent));
  const answer = await fetch(name.replaceAll(" ", "/"));
  if (!answer.ok) throw new Error(await answer.text());
  return unpack(new Uint8Array(await answer.arrayBuffer()));
}

async function frame(run, k) {
  const name = `frame ${run} ${runs[run].numbers[k]}`;
  if (!frames.has(name)) frames.set(name, await read(name));
  return frames.get(name);
}

// first cell that every interval between places covers, and the one after the last
function covered(edges, places) {
  const cells = edges.length - 1;
  const at = places.map((p) => {
    let low = 0, high = cells;
    if (p <= edges[0]) return 0;
    if (p >= edges[cells]) return cells;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (edges[middle] <= p) low = middle; else high = middle;
    }
    return low + (p - edges[low]) / (edges[low + 1] - edges[low]);
  });
  const start = [], stop = [];
  for (let i = 0; i + 1 < at.length; i++) {
    const inside = places[i + 1] > edges[0] && places[i] < edges[cells];
    const first = Math.min(Math.max(Math.floor(at[i] + TOUCH), 0), cells - 1);
    start.push(first);
    stop.push(inside ? Math.min(Math.max(Math.ceil(at[i + 1] - TOUCH), first + 1), cells) : -1);
  }
  return [start, stop];
}

// for every pixel the number of the cell of largest size that it covers, -1 outside
function largest(values, columns, rows, across) {
  const [top, bottom] = rows, [left, right] = columns;
  const found = new Int32Array(top.length * left.length).fill(-1);
  const done = new Map();
  for (let i = 0; i < top.length; i++) {
    if (bottom[i] < 0) continue;
    for (let r = top[i]; r < bottom[i]; r++) {
      if (!done.has(r)) {
        const best = new Int32Array(left.length).fill(-1);
        for (let j = 0; j < left.length; j++)
          for (let c = left[j]; c < right[j]; c++)
            if (best[j] < 0 || Math.abs(values[r * across + c]) > Math.abs(values[best[j]])) best[j] = r * across + c;
        done.set(r, best);
      }
      const best = done.get(r);
      for (let j = 0; j < left.length; j++) {
        const k = i * left.length + j;
        if (best[j] >= 0 && (found[k] < 0 || Math.abs(values[best[j]]) > Math.abs(values[found[k]]))) found[k] = best[j];
      }
    }
  }
  return found;
}

const between = (low, high, count) => Array.from({ length: count + 1 }, (_, i) => low + ((high - low) * i) / count);
const short = (value) => Number(value.toPrecision(5)).toString();

function plane(run) {
  const all = runs[run].planes;
  return Math.min(Number(find("plane").value) || 0, all.length - 1);
}

// the time of another run that is nearest to that of the first
function nearest(run, time) {
  const times = runs[run].times;
  let best = 0;
  times.forEach((t, i) => { if (Math.abs(t - time) < Math.abs(times[best] - time)) best = i; });
  return best;
}

function steps(data, k, sideways) {
  const edges = data.held[`edges ${k}`].values, values = data.held[`along ${k}`].values;
  const at = [], high = [];
  for (let i = 0; i < values.length; i++) { at.push(edges[i], edges[i + 1]); high.push(values[i], values[i]); }
  return sideways ? { x: high, y: at } : { x: at, y: high };
}

// colours of the values of cells: the share of the scale, null where there is nothing to see
function shades(run, values, which, top) {
  const linear = find("scale").value === "linear" || runs[run].signed;
  return which.map ? Array.from(which, (n) => {
    if (n < 0) return null;
    const v = values[n];
    if (linear) return v === 0 && !runs[run].signed ? null : v;
    return v > top * 10 ** -DECADES ? Math.log10(v / top) : null;
  }) : [];
}

function extent(run, edges, number) {
  // runs along the same axes are seen in the same box
  const owner = String(runs[run].names) === String(runs[0].names) ? runs[0] : runs[run];
  const known = owner.box || (owner.box = {});
  const low = edges[0], high = edges[edges.length - 1], old = known[number];
  known[number] = old ? [Math.min(old[0], low), Math.max(old[1], high)] : [low, high];
  return known[number];
}

async function draw(run, k) {
  const facts = runs[run], data = await frame(run, k), target = find(`picture ${run}`);
  const number = plane(run), axes = facts.planes[number];
  const colour = facts.kind === "density" ? COLOURS[0] : COLOURS[1];
  const layout = { margin: { l: 56, r: 12, t: 8, b: facts.names.length > 1 ? 100 : 44 }, showlegend: false, uirevision: number, hovermode: "closest", paper_bgcolor: "#fff" };
  facts.data = data;
  find(`about ${run}`).textContent = `t = ${short(data.t)}, mass ${short(data.mass)}` + (data.dots && data.dots[0] < data.dots[1] ? `, ${data.dots[0]} of ${data.dots[1]} particles drawn` : "");
  if (facts.names.length === 1) {
    const high = Math.max(facts.high || 0, ...data.held["along 0"].values);
    facts.high = high;
    layout.xaxis = { title: { text: facts.names[0] } };
    layout.yaxis = { title: { text: `mass per unit ${facts.names[0]}` }, range: facts.signed ? undefined : [0, 1.05 * high || 1] };
    const line = { ...steps(data, 0), type: "scatter", mode: "lines", line: { color: colour, width: 1.2 }, fill: "tozeroy", hoverinfo: "none" };
    await Plotly.react(target, [line], layout, { responsive: true, displaylogo: false });
    facts.pixels = null;
    return;
  }
  const [up, right] = axes;
  const width = extent(run, data.held[`edges ${right}`].values, right);
  const height = extent(run, data.held[`edges ${up}`].values, up);
  layout.xaxis = { domain: [0, 0.8], zeroline: false, title: { text: facts.names[right] }, range: width };
  layout.yaxis = { domain: [0, 0.8], zeroline: false, title: { text: facts.names[up] }, range: height };
  layout.xaxis2 = { domain: [0.82, 1], anchor: "y", showticklabels: false, title: { text: "mass" } };
  layout.yaxis2 = { domain: [0.82, 1], anchor: "x", showticklabels: false, title: { text: "mass" } };
  const side = { type: "scatter", mode: "lines", line: { color: colour, width: 1 }, hoverinfo: "none" };
  const traces = [
    { ...side, ...steps(data, right), yaxis: "y2", fill: "tozeroy" },
    { ...side, ...steps(data, up, true), xaxis: "x2", fill: "tozerox" },
  ];
  if (facts.kind === "density") traces.unshift(await image(run, data, number, target));
  else traces.unshift(dots(facts, data, up, right, colour));
  await Plotly.react(target, traces, layout, { responsive: true, displaylogo: false });
  // pixels are those of the panel as it is now
  if (facts.kind === "density") await repaint(run);
}

function dots(facts, data, up, right, colour) {
  const { shape, values } = data.held.dots, weights = data.held.weights.values;
  let top = 0;
  for (const w of weights) top = Math.max(top, Math.abs(w));
  const pick = (axis) => Array.from({ length: shape[0] }, (_, i) => values[i * shape[1] + axis]);
  const size = Array.from(weights, (w) => (top > 0 ? 2 + 6 * Math.sqrt(Math.abs(w) / top) : 4));
  const shade = Array.from(weights, (w) => (w < 0 ? COLOURS[1] : facts.signed ? COLOURS[0] : colour));
  return { type: "scatter", mode: "markers", x: pick(right), y: pick(up), marker: { color: shade, size, opacity: 0.6 }, customdata: Array.from(weights), hovertemplate: "%{x}, %{y}, weight %{customdata}<extra></extra>" };
}

async function image(run, data, number, target) {
  const facts = runs[run], values = data.held[`plane ${number}`].values;
  let top = 0;
  for (const v of values) top = Math.max(top, Math.abs(v));
  facts.tops = facts.tops || {};
  // one scale for all times that were seen
  facts.tops[number] = Math.max(facts.tops[number] || 0, top);
  return painted(run, data, number, target);
}

function painted(run, data, number, target) {
  const facts = runs[run], [up, right] = facts.planes[number], values = data.held[`plane ${number}`];
  const full = target._fullLayout, panel = full && full.xaxis && full.yaxis ? [full.xaxis, full.yaxis] : null;
  const ends = panel ? panel.map((axis) => [...axis.range].sort((a, b) => a - b)) : [right, up].map((k) => extent(run, data.held[`edges ${k}`].values, k));
  const count = panel ? panel.map((axis) => Math.max(1, Math.round(axis._length))) : [300, 300];
  const places = ends.map(([low, high], i) => between(low, high, count[i]));
  const blocks = [right, up].map((k, i) => {
    const edges = data.held[`edges ${k}`].values, n = values.shape[1 - i];
    if (edges.length === n + 1) return edges;
    return Float64Array.from({ length: n + 1 }, (_, b) => edges[Math.floor((b * (edges.length - 1)) / n)]);
  });
  const which = largest(values.values, covered(blocks[0], places[0]), covered(blocks[1], places[1]), values.shape[1]);
  const top = facts.tops[number] || 1;
  const flat = shades(run, values.values, which, top);
  const z = Array.from({ length: count[1] }, (_, i) => flat.slice(i * count[0], (i + 1) * count[0]));
  facts.pixels = { which, count, number, ends };
  const linear = find("scale").value === "linear" || facts.signed;
  const low = facts.signed ? -top : linear ? 0 : -DECADES;
  const ticks = linear ? {} : { tickvals: [0, -1, -2, -3, -4], ticktext: [0, 1, 2, 3, 4].map((d) => (top * 10 ** -d).toExponential(1)) };
  return {
    type: "heatmap", z, zmin: low, zmax: linear ? top : 0, colorscale: facts.signed ? BOTH : BLUES, hoverinfo: "none",
    x0: 0.5 * (places[0][0] + places[0][1]), dx: places[0][1] - places[0][0], y0: 0.5 * (places[1][0] + places[1][1]), dy: places[1][1] - places[1][0],
    colorbar: { orientation: "h", thickness: 10, len: 0.8, x: 0.4, y: -0.15, yanchor: "top", title: { text: `${facts.signed ? "signed " : ""}mass per unit ${[up, right].sort().map((k) => facts.names[k]).join(" × ")}, ${facts.rule}`, side: "bottom", font: { size: 11 } }, tickfont: { size: 10 }, ...ticks },
  };
}

async function repaint(run) {
  const target = find(`picture ${run}`), facts = runs[run], number = plane(run);
  if (!facts.data || facts.kind !== "density" || facts.names.length < 2) return;
  const trace = painted(run, facts.data, number, target);
  facts.painting = true;
  await Plotly.restyle(target, { z: [trace.z], x0: trace.x0, dx: trace.dx, y0: trace.y0, dy: trace.dy, zmax: trace.zmax, zmin: trace.zmin }, [0]);
  facts.painting = false;
}

// what the pointer is over: the largest cell of the pixel, its value and place as they are stored
function tell(run, event) {
  const facts = runs[run], target = find(`picture ${run}`), data = facts.data;
  if (!data || !target._fullLayout) return;
  const box = target.getBoundingClientRect(), { xaxis, yaxis } = target._fullLayout;
  const x = event.clientX - box.left - xaxis._offset, y = event.clientY - box.top - yaxis._offset;
  const line = find(`pointer ${run}`);
  if (x < 0 || y < 0 || x >= xaxis._length || y >= yaxis._length) return;
  if (facts.names.length === 1) {
    const edges = data.held["edges 0"].values, values = data.held["along 0"].values;
    const ends = [xaxis.p2d(Math.floor(x)), xaxis.p2d(Math.floor(x) + 1)];
    const [start, stop] = covered(edges, ends);
    if (stop[0] < 0) return;
    let best = start[0];
    for (let i = start[0]; i < stop[0]; i++) if (Math.abs(values[i]) > Math.abs(values[best])) best = i;
    const place = data.held["centres 0"] ? data.held["centres 0"].values[best] : 0.5 * (edges[best] + edges[best + 1]);
    line.textContent = `${facts.names[0]} = ${place}, mass per unit ${values[best]}`;
    return;
  }
  if (!facts.pixels) return;
  const { which, count, number } = facts.pixels;
  const row = Math.min(count[1] - 1, Math.floor(((yaxis._length - y) / yaxis._length) * count[1]));
  const column = Math.min(count[0] - 1, Math.floor((x / xaxis._length) * count[0]));
  const found = which[row * count[0] + column];
  if (found < 0) return;
  const [up, right] = facts.planes[number], values = data.held[`plane ${number}`].values;
  const cell = data.held[`cell ${number}`] ? data.held[`cell ${number}`].values[found] : found;
  const across = data.held[`centres ${right}`].values.length;
  const places = { [up]: Math.floor(cell / across), [right]: cell % across };
  const told = [up, right].sort().map((k) => `${facts.names[k]} = ${data.held[`centres ${k}`].values[places[k]]}`);
  line.textContent = `${told.join(", ")}, mass per unit ${values[found]}`;
}

// smallest and largest of every stretch: a peak of one step stays
function thinned(x, y) {
  const most = 2000;
  if (x.length <= most) return { x: Array.from(x), y: Array.from(y) };
  const kept = new Set([0, x.length - 1]);
  for (let b = 0; b < most / 2; b++) {
    const from = Math.floor((b * x.length) / (most / 2)), to = Math.floor(((b + 1) * x.length) / (most / 2));
    let low = from, high = from;
    for (let i = from; i < to; i++) { if (y[i] < y[low]) low = i; if (y[i] > y[high]) high = i; }
    kept.add(low).add(high);
  }
  const order = [...kept].sort((a, b) => a - b);
  return { x: order.map((i) => x[i]), y: order.map((i) => y[i]) };
}

const column = (facts, name) => (facts.held[`column ${name}`] || {}).values;

function curve(facts, name, style) {
  const y = column(facts, name);
  return { type: "scatter", mode: "lines", ...thinned(column(facts, "t"), y), ...style };
}

async function histories() {
  const name = find("column").value, time = runs[0].times[shown];
  const axes = (title, log) => ({
    margin: { l: 60, r: 10, t: 8, b: 40 }, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, hovermode: "closest",
    xaxis: { title: { text: "time t" }, type: find("logtime").checked ? "log" : "linear" },
    yaxis: { title: { text: title }, type: log ? "log" : "linear", exponentformat: "power" },
    shapes: [{ type: "line", xref: "x", yref: "paper", x0: time, x1: time, y0: 0, y1: 1, line: { color: "#999", width: 1, dash: "dot" } }],
  });
  const lines = runs.filter((each) => column(each, name)).map((each) => curve(each, name, { name: each.label, line: { color: COLOURS[each.number % 6], dash: each.number ? "dash" : "solid" } }));
  await Plotly.react(find("history"), lines, { ...axes(name, find("logarithmic").checked), showlegend: runs.length > 1 }, { responsive: true, displaylogo: false });
  const parts = [];
  for (const each of runs) {
    const tail = runs.length > 1 ? `, ${each.label}` : "", dash = each.number ? "dash" : "solid";
    if (column(each, "objective")) parts.push(curve(each, "objective", { name: `F${tail}`, line: { color: "#222", dash } }));
    each.terms.forEach((term, i) => parts.push(curve(each, term, { name: term + tail, line: { color: COLOURS[i % 6], dash } })));
  }
  await Plotly.react(find("parts"), parts, { ...axes("objective and parts", false), showlegend: true }, { responsive: true, displaylogo: false });
}

async function show() {
  const first = runs[0], time = first.times[shown];
  find("slider").value = shown;
  find("time").textContent = `t = ${short(time)} (${shown + 1} of ${first.times.length})`;
  for (let run = 0; run < runs.length; run++) await draw(run, run ? nearest(run, time) : shown);
  await histories();
  document.body.dataset.shown = String(shown);
}

// one picture after the other, and of many that wait only the last
let waiting = false;
function request() {
  if (waiting) return drawing;
  waiting = true;
  drawing = drawing.then(() => { waiting = false; return show(); }).catch(complain);
  return drawing;
}

function complain(error) {
  find("live").textContent = `The page could not be brought up to date: ${error.message}`;
}

function element(kind, options = {}, ...inside) {
  const made = Object.assign(document.createElement(kind), options);
  made.append(...inside);
  return made;
}

function table(title, pairs) {
  const rows = pairs.map(([name, value]) => element("tr", {}, element("td", {}, name), element("td", {}, value)));
  return element("details", {}, element("summary", {}, title), element("table", {}, ...rows));
}

function told(facts) {
  const box = element("div", {}, element("h1", { textContent: facts.label }));
  box.append(element("p", { className: "certificate" }, `certificate: ${facts.certificate}`));
  box.append(table("problem", facts.problem), table("provenance", facts.provenance));
  return box;
}

function build() {
  find("runs").replaceChildren(...runs.map((facts, run) => {
    const box = element("div", { className: "run" }, element("h2", {}, facts.label));
    const left = facts.total > facts.times.length ? `, ${facts.times.length} of ${facts.total} snapshots` : "";
    box.append(element("div", { className: "note" }, `${facts.kind}, ${facts.extent}, ${facts.status}${left}`));
    for (const text of facts.troubles) box.append(element("div", { className: "trouble" }, text));
    box.append(element("div", { className: "note", id: `about ${run}` }));
    const picture = element("div", { className: "picture", id: `picture ${run}` });
    picture.addEventListener("mousemove", (event) => tell(run, event));
    box.append(picture, element("div", { className: "pointer", id: `pointer ${run}` }));
    return box;
  }));
  find("facts").replaceChildren(...runs.map(told));
  find("slider").max = runs[0].times.length - 1;
  const names = runs[0].planes.map((axes) => axes.map((k) => runs[0].names[k]).reverse().join(", "));
  fill("plane", names.map((text, i) => [i, text]));
  find("planes").hidden = names.length < 2;
  const every = [...new Set(runs.flatMap((each) => each.arrays.map((a) => a.name.replace("column ", ""))))];
  fill("column", every.filter((name) => name !== "t").map((name) => [name, name]), "objective");
  find("scale").parentElement.hidden = !runs.some((each) => each.kind === "density" && each.names.length > 1 && !each.signed);
}

function fill(id, pairs, first) {
  const old = find(id).value || first;
  find(id).replaceChildren(...pairs.map(([value, text]) => element("option", { value, textContent: text })));
  if (pairs.some(([value]) => String(value) === String(old))) find(id).value = old;
}

function zoomable() {
  runs.forEach((facts, run) => {
    const target = find(`picture ${run}`);
    target.on("plotly_relayout", () => { if (!facts.painting) repaint(run).catch(complain); });
  });
}

async function heads() {
  const found = [], numbers = live ? await (await fetch("runs")).json() : [...held.keys()].filter((name) => name.startsWith("head "));
  for (let run = 0; run < numbers.length; run++) {
    const facts = await read(`head ${run}`);
    facts.number = run;
    found.push(facts);
  }
  return found;
}

async function follow() {
  try {
    const found = await heads();
    find("live").textContent = "";
    const changed = found.some((facts, run) => facts.times.length !== runs[run].times.length || facts.status !== runs[run].status || facts.troubles.length !== runs[run].troubles.length);
    if (changed) {
      const last = shown === runs[0].times.length - 1;
      found.forEach((facts, run) => { facts.tops = runs[run].tops; facts.box = runs[run].box; facts.high = runs[run].high; });
      runs = found;
      frames.clear();
      build();
      if (last || shown >= runs[0].times.length) shown = runs[0].times.length - 1;
      await request();
      zoomable();
    }
  } catch (error) { complain(error); }
  setTimeout(follow, 2000);
}

async function main() {
  runs = await heads();
  build();
  if (live) shown = runs[0].times.length - 1;
  await request();
  zoomable();
  find("slider").addEventListener("input", () => { shown = Number(find("slider").value); request(); });
  for (const id of ["plane", "scale", "column", "logarithmic", "logtime"]) find(id).addEventListener("change", request);
  let playing = null;
  find("play").addEventListener("click", () => {
    if (playing) { clearInterval(playing); playing = null; find("play").textContent = "▶"; return; }
    find("play").textContent = "❚❚";
    playing = setInterval(() => { shown = (shown + 1) % runs[0].times.length; request(); }, 150);
  });
  document.body.dataset.ready = "yes";
  if (live) setTimeout(follow, 2000);
}

main().catch(complain);
