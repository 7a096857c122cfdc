// SPDX-License-Identifier: Apache-2.0
'use strict';

const byId = (id) => document.getElementById(id);
const history_ = new History();
const controls = new Map();  // parameter name -> function that shows a value
let about = null;
let names = [];

function element(kind, properties = {}, ...children) {
  const made = Object.assign(document.createElement(kind), properties);
  made.append(...children);
  return made;
}

// --- what comes

function connect() {
  const socket = new WebSocket(`ws://${location.host}/live`);
  socket.binaryType = 'blob';
  socket.onopen = () => say('waiting for the node', '');
  socket.onmessage = (event) => {
    if (typeof event.data === 'string') {
      const said = JSON.parse(event.data);
      ({ faces: onFaces, parameters: onParameters, diagnostics: onDiagnostics })[said.kind](said);
    } else {
      show(event.data).finally(() => { if (socket.readyState === WebSocket.OPEN) socket.send('next'); });
    }
  };
  socket.onclose = () => {
    say('connection lost', 'lost');
    setTimeout(connect, 1000);
  };
}

function say(text, kind) {
  const badge = byId('state');
  badge.textContent = text;
  badge.className = `badge ${kind}`;
}

async function show(jpeg) {
  const bitmap = await createImageBitmap(jpeg);
  const canvas = byId('picture');
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext('2d').drawImage(bitmap, 0, 0);
  bitmap.close();
  byId('no-picture').hidden = true;
}

function onFaces(faces) {
  say('live', 'live');
  names = faces.expressions;
  history_.add(faces);
  const number = (value, digits, unit) => (value == null ? '–' : `${value.toFixed(digits)} ${unit}`);
  const figures = {
    rate: number(faces.rate_hz, 1, 'Hz'), latency: number(faces.latency_ms, 0, 'ms'),
    inference: number(faces.inference_ms, 0, 'ms'), dropped: String(faces.dropped_frames),
    image: `${faces.image_width}x${faces.image_height}`, model: faces.model_id,
  };
  byId('figures').replaceChildren(...Object.entries(figures).map(([name, value]) => element(
    'div', {}, element('dt', { textContent: name }), element('dd', { id: `figure-${name}`, textContent: value }))));
  byId('tracks').tBodies[0].replaceChildren(...faces.tracks.map(row));
  byId('nobody').hidden = faces.tracks.length > 0;
}

function row(track) {
  const swatch = element('span', { className: 'swatch' });
  swatch.style.background = track.colour;
  const degrees = (radians) => (radians == null ? '–' : `${Math.round(radians * 180 / Math.PI)}°`);
  const cell = (text, name) => element('td', { className: track.unsure.includes(name) ? 'unsure' : '' }, text);
  const probs = track.expression_probs;
  const expression = cell(track.expression == null ? '–' : track.expression
    + (track.unsure.includes('expression') ? '?' : ''), 'expression');
  if (probs) expression.append(element('meter', { min: 0, max: 1, value: probs[track.expression] }));
  return element('tr', { className: track.state, id: `track-${track.id}` },
    element('td', {}, swatch, track.id), cell(`${track.seen_for_s.toFixed(0)} s`),
    cell(track.gender || '–', 'gender'),
    cell(track.age_low == null ? '–' : `${Math.round(track.age_low)}–${Math.round(track.age_high)}`, 'age'),
    expression, cell(track.smile == null ? '–' : `${Math.round(100 * track.smile)} %`, 'smile'),
    cell(`${degrees(track.yaw_rad)}, ${degrees(track.pitch_rad)}`), cell(track.score.toFixed(2)));
}

function onDiagnostics(said) {
  byId('diagnostics').replaceChildren(...said.statuses.flatMap((status) => [
    element('h3', {}, `${status.name}: `, element('span', { className: status.level, textContent: status.message })),
    element('table', {}, ...Object.entries(status.values).map(([key, value]) => element(
      'tr', {}, element('td', { textContent: key }), element('td', { textContent: value })))),
  ]));
}

// --- parameters

function onParameters(said) {
  for (const [name, value] of Object.entries(said.values)) {
    if (controls.has(name)) controls.get(name)(value);
  }
}

async function move(name, value) {
  const answer = byId('answer');
  answer.textContent = `${name} …`;
  const response = await fetch('/parameters', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name, value }),
  }).catch((error) => ({ ok: false, text: async () => String(error) }));
  let text = await response.text();
  try { text = JSON.parse(text).reason; } catch { /* it is words already */ }
  answer.className = response.ok ? '' : 'refused';
  answer.textContent = response.ok ? `${name} is ${JSON.stringify(value)}` : text;
}

function control(option) {
  const ordinary = { id: `p-${option.name}`, disabled: !about.may_set };
  const numeric = option.type === 'number' || option.type === 'whole number';
  if (option.type === 'boolean') {
    const box = element('input', { ...ordinary, type: 'checkbox' });
    box.onchange = () => move(option.name, box.checked);
    return [[box], (value) => { box.checked = value; }];
  }
  if (option.choices.length) {
    const list = element('select', ordinary, ...option.choices.map((choice) => new Option(choice, choice)));
    list.onchange = () => move(option.name, list.value);
    return [[list], (value) => { list.value = value; }];
  }
  if (!numeric) {
    const text = element('input', { ...ordinary, type: 'text' });
    text.onchange = () => {
      let value = text.value;
      if (option.type.endsWith('array')) {
        try { value = JSON.parse(value); } catch { /* the node says what it needs */ }
      }
      move(option.name, value);
    };
    return [[text], (value) => { text.value = typeof value === 'string' ? value : JSON.stringify(value); }];
  }
  const step = option.type === 'whole number' ? 1 : 'any';
  const limits = { min: option.low ?? '', max: option.high ?? '' };
  const exact = element('input', { ...ordinary, type: 'number', step, ...limits });
  exact.onchange = () => move(option.name, Number(exact.value));
  if (option.low == null || option.high - option.low > 100) {
    return [[exact], (value) => { exact.value = value; }];
  }
  const slider = element('input', { type: 'range', disabled: !about.may_set, ...limits,
    step: option.type === 'whole number' ? 1 : (option.high - option.low) / 100 });
  slider.setAttribute('aria-label', option.name);
  slider.oninput = () => { exact.value = slider.value; };
  slider.onchange = () => move(option.name, Number(slider.value));
  return [[slider, exact], (value) => { exact.value = value; slider.value = value; }];
}

function buildParameters() {
  const groups = new Map();
  for (const option of about.parameters) {
    const group = option.name.includes('.') ? option.name.split('.')[0] : 'general';
    if (!groups.has(group)) groups.set(group, element('details', {}, element('summary', { textContent: group })));
    const [inputs, shows] = control(option);
    controls.set(option.name, shows);
    const unit = option.unit ? ` (${option.unit})` : '';
    groups.get(group).append(element('div', { className: 'parameter' },
      element('label', { htmlFor: `p-${option.name}`, textContent: option.name + unit }),
      element('div', { className: 'control' }, ...inputs),
      element('small', { textContent: option.meaning.replaceAll('`', '') })));
  }
  byId('parameters').replaceChildren(...groups.values());
  (groups.get('detector') || element('details')).open = true;
  if (!about.may_set) byId('answer').textContent = 'The dashboard was started with set_parameters false.';
}

async function begin() {
  about = await (await fetch('/about')).json();
  byId('title').textContent = document.title = about.title;
  byId('legend').replaceChildren(...Object.entries(HUES).map(([name, colour]) => {
    const swatch = element('span', { className: 'swatch' });
    swatch.style.background = colour;
    return element('li', {}, swatch, name);
  }));
  buildParameters();
  connect();
  setInterval(() => {
    drawAges(byId('ages'), history_);
    drawExpressions(byId('expressions'), history_, names);
  }, 250);
}

begin();
