// SPDX-License-Identifier: Apache-2.0
// The last minute of each face, kept in this page alone, and drawn.
'use strict';

const WINDOW_S = 60;
const MOST_LANES = 4;
const HUES = {
  neutral: '#8796a8', happy: '#f2c14e', sad: '#5687c4', surprise: '#f28e2b', fear: '#9b7bd0', disgust: '#67ab58',
  angry: '#e15759',
};

class History {
  constructor() {
    this.tracks = new Map();  // id -> {colour, points: [{t, age, low, high, probs}]}
    this.now = 0;
  }

  add(faces) {
    if (faces.stamp_s < this.now - 1) this.tracks.clear();  // time has begun anew
    this.now = faces.stamp_s;
    for (const track of faces.tracks) {
      const kept = this.tracks.get(track.id) || { points: [] };
      kept.colour = track.state === 'coasting' ? kept.colour || track.colour : track.colour;
      kept.points.push({
        t: this.now, age: track.age_years, low: track.age_low, high: track.age_high,
        probs: faces.expressions.map((name) => (track.expression_probs || {})[name]),
      });
      this.tracks.set(track.id, kept);
    }
    for (const [id, kept] of this.tracks) {
      while (kept.points.length && kept.points[0].t < this.now - WINDOW_S) kept.points.shift();
      if (!kept.points.length) this.tracks.delete(id);
    }
  }
}

function surface(canvas) {
  // One canvas pixel a screen pixel.
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = '11px system-ui, "DejaVu Sans", sans-serif';
  return { pen, width, height, left: 34, x: (t, now) => 34 + (width - 40) * (1 + (t - now) / WINDOW_S) };
}

// Runs of points without a gap of more than two seconds: a face that was away is not drawn meanwhile.
function runs(points, has) {
  const found = [];
  let last = null;
  for (const point of points) {
    if (!has(point)) { last = null; continue; }
    if (last === null || point.t - last > 2) found.push([]);
    found[found.length - 1].push(point);
    last = point.t;
  }
  return found;
}

function area(pen, points, x, upper, lower) {
  pen.beginPath();
  points.forEach((point) => pen.lineTo(x(point), upper(point)));
  points.slice().reverse().forEach((point) => pen.lineTo(x(point), lower(point)));
  pen.closePath();
  pen.fill();
}

function drawAges(canvas, history) {
  const { pen, width, height, x } = surface(canvas);
  const all = [...history.tracks.values()].flatMap((kept) => kept.points).filter((point) => point.low != null);
  const low = Math.max(0, Math.floor(Math.min(...all.map((point) => point.low), 100) / 10) * 10);
  const high = Math.ceil(Math.max(...all.map((point) => point.high), low + 20) / 10) * 10;
  const y = (age) => height - 8 - (height - 16) * (age - low) / (high - low);
  pen.fillStyle = '#8d98a5';
  pen.strokeStyle = '#2a313b';
  if (!all.length) { pen.fillText('no age yet', 40, height / 2); return; }
  const step = high - low > 50 ? 20 : 10;
  for (let age = low; age <= high; age += step) {
    pen.fillText(String(age), 8, y(age) + 4);
    pen.beginPath(); pen.moveTo(34, y(age)); pen.lineTo(width - 6, y(age)); pen.stroke();
  }
  for (const kept of history.tracks.values()) {
    for (const run of runs(kept.points, (point) => point.low != null)) {
      const at = (point) => x(point.t, history.now);
      pen.fillStyle = `${kept.colour}33`;
      area(pen, run, at, (point) => y(point.high), (point) => y(point.low));
      pen.strokeStyle = kept.colour;
      pen.lineWidth = 2;
      pen.beginPath();
      run.forEach((point) => pen.lineTo(at(point), y(point.age)));
      pen.stroke();
      pen.lineWidth = 1;
    }
  }
}

function drawExpressions(canvas, history, names) {
  const { pen, width, height, x } = surface(canvas);
  const last = ([, kept]) => kept.points[kept.points.length - 1].t;
  const newest = [...history.tracks.entries()].sort((one, two) => last(two) - last(one)).slice(0, MOST_LANES);
  const lanes = [...history.tracks.entries()].filter((entry) => newest.some(([id]) => id === entry[0]));
  if (!lanes.length) { pen.fillStyle = '#8d98a5'; pen.fillText('no expression yet', 40, height / 2); return; }
  const lane = (height - 6) / lanes.length;
  lanes.forEach(([id, kept], index) => {
    const bottom = (index + 1) * lane;
    const tall = Math.min(lane - 6, 90);
    for (const run of runs(kept.points, (point) => point.probs[0] != null)) {
      const at = (point) => x(point.t, history.now);
      names.forEach((name, number) => {
        const below = (point) => bottom - tall * point.probs.slice(0, number).reduce((sum, one) => sum + one, 0);
        pen.fillStyle = HUES[name] || '#777';
        area(pen, run, at, (point) => below(point) - tall * point.probs[number], below);
      });
    }
    pen.fillStyle = kept.colour;
    pen.fillText(id, 6, bottom - tall / 2 + 4);
    pen.fillRect(30, bottom - tall, 3, tall);
    pen.strokeStyle = '#2a313b';
    pen.strokeRect(34, bottom - tall, width - 40, tall);
  });
}
