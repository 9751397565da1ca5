// Explorers: what a reader moves with sliders is computed in the page by the support crate, compiled to WebAssembly.
// This file finds the places, loads the crate and the explorer's own script, and holds what all of them share.
// Classic scripts and base64, not modules and fetch: these would not work from a file.

(() => {
    'use strict';

    const places = [...document.querySelectorAll('.explorer')];
    if (!places.length) return;

    const folder = `${path_to_root}explorers/`;
    const kinds = {};
    let loading = {};

    function script(name) {
        loading[name] ??= new Promise((resolve, reject) => {
            const element = document.createElement('script');
            element.src = folder + name;
            element.onload = resolve;
            element.onerror = () => reject(new Error(`${folder}${name} cannot be loaded`));
            document.head.append(element);
        });
        return loading[name];
    }

    /** The bytes that a script of ours left as base64. */
    function bytes(name) {
        const text = atob(window.candlelightFiles[name]);
        const out = new Uint8Array(text.length);
        for (let i = 0; i < text.length; i += 1) out[i] = text.charCodeAt(i);
        return out;
    }

    let crate;
    function load() {
        crate ??= (async () => {
            await Promise.all([script('candlelight_explorers.js'), script('candlelight_explorers_wasm.js')]);
            await wasm_bindgen({ module_or_path: bytes('wasm') });
            return wasm_bindgen;
        })();
        return crate;
    }

    // Elements

    function el(name, attributes = {}, ...children) {
        const element = document.createElement(name);
        for (const [key, value] of Object.entries(attributes)) {
            if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
            else if (value === true) element.setAttribute(key, '');
            else if (value !== false && value !== undefined) element.setAttribute(key, value);
        }
        element.append(...children);
        return element;
    }

    let ids = 0;

    /** A slider with its value beside it; `get` and `set` are numbers. */
    function slider(label, { min, max, step = 1, value, show = String }, changed) {
        const id = `explorer-${ids += 1}`;
        const out = el('output', { for: id }, show(value));
        const input = el('input', { type: 'range', id, min, max, step, value });
        input.addEventListener('input', () => {
            out.textContent = show(Number(input.value));
            changed();
        });
        return {
            element: el('div', { class: 'explorer-control' }, el('label', { for: id }, label), input, out),
            get: () => Number(input.value),
            set(number) {
                input.value = number;
                out.textContent = show(Number(input.value));
            },
        };
    }

    /** An int or a pair: a second slider appears for a pair. `get` is `2` or `2,1`. */
    function pair(label, options, changed) {
        const [first, second] = String(options.value).split(',').map(Number);
        const rows = slider(label, { ...options, value: first }, () => {
            if (!tick.checked) columns.set(rows.get());
            changed();
        });
        const columns = slider('columns', { ...options, value: second ?? first }, changed);
        const tick = el('input', { type: 'checkbox', 'aria-label': `${label}: rows and columns apart` });
        tick.checked = second !== undefined;
        const name = rows.element.querySelector('label');
        const both = () => {
            columns.element.hidden = !tick.checked;
            name.textContent = tick.checked ? `${label} rows` : label;
        };
        tick.addEventListener('change', () => {
            if (!tick.checked) columns.set(rows.get());
            both();
            changed();
        });
        both();
        rows.element.append(el('label', { class: 'explorer-pair', title: 'rows and columns apart' }, tick, 'pair'));
        return {
            element: el('div', {}, rows.element, columns.element),
            get: () => (tick.checked ? `${rows.get()},${columns.get()}` : String(rows.get())),
        };
    }

    function choice(label, values, value, changed) {
        const id = `explorer-${ids += 1}`;
        const names = values.map(name => el('option', { selected: name === value }, name));
        const select = el('select', { id, onchange: changed }, ...names);
        return {
            element: el('div', { class: 'explorer-control' }, el('label', { for: id }, label), select),
            get: () => select.value,
            set(name) { select.value = name; },
        };
    }

    function flag(label, value, changed) {
        const input = el('input', { type: 'checkbox', onchange: changed });
        input.checked = value;
        return {
            element: el('label', { class: 'explorer-control explorer-flag' }, input, label),
            get: () => input.checked,
        };
    }

    /** Code in both languages, with a button that copies it. */
    function code() {
        const line = language => {
            const text = el('code', { class: `language-${language}` });
            const copy = el('button', { type: 'button', title: `Copy the ${language}` }, 'Copy');
            copy.addEventListener('click', async () => {
                await navigator.clipboard.writeText(text.textContent);
                copy.textContent = 'Copied';
                setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
            });
            return { text, element: el('div', { class: 'explorer-code' }, el('pre', {}, text), copy) };
        };
        const [rust, python] = [line('rust'), line('python')];
        return {
            element: el('div', { class: 'explorer-lines' }, rust.element, python.element),
            set(inRust, inPython) {
                rust.text.textContent = inRust;
                python.text.textContent = inPython;
            },
        };
    }

    // Numbers and colours, as in the plots

    function short(value) {
        const size = Math.abs(value);
        if (!Number.isFinite(value)) return value > 0 ? '∞' : value < 0 ? '−∞' : 'NaN';
        if (Number.isInteger(value) && size < 1e5) return String(value).replace('-', '−');
        if (size < 5e-3 || size >= 1e5) return value.toExponential(0).replace('-', '−');
        return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2).replace('-', '−');
    }

    const SEQUENTIAL = [[247, 251, 255], [198, 219, 239], [107, 174, 214], [33, 113, 181], [8, 48, 107]];
    const DIVERGING = [[166, 70, 6], [240, 163, 94], [247, 247, 247], [106, 172, 213], [15, 82, 150]];

    /** Colours for these values: blue from 0 up; around 0, orange below and blue above. */
    function scale(values) {
        let [low, high] = [0, 0];
        for (const value of values) {
            if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
        }
        const stops = low < 0 ? DIVERGING : SEQUENTIAL;
        if (low < 0) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
        if (low === high) high = low + 1;
        return value => {
            const place = Math.min(Math.max((value - low) / (high - low), 0), 1) * 4;
            const below = Math.min(Math.floor(place), 3);
            const rgb = [0, 1, 2].map(i => Math.round(
                stops[below][i] * (below + 1 - place) + stops[below + 1][i] * (place - below)));
            const light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] > 140;
            return { fill: `rgb(${rgb})`, ink: light ? '#111' : '#fff' };
        };
    }

    const NUMBERED = 24;

    /** Maps side by side: `tensor` has shape [channels, rows, columns] and values. `mark` frames cells. */
    class Maps {
        /** `pick(channel, row, column)` is called for a cell that is pointed at or reached by arrow keys. */
        constructor(name, pick) {
            this.element = el('div', { class: 'explorer-maps', role: 'group', 'aria-label': name });
            this.caption = el('div', { class: 'explorer-caption' });
            this.drawing = el('div', pick ? { tabindex: 0, role: 'application', 'aria-label': `${name}: arrow keys choose a cell` } : {});
            this.element.append(this.caption, this.drawing);
            if (pick) {
                this.drawing.addEventListener('pointermove', event => this.#point(event, pick));
                this.drawing.addEventListener('pointerdown', event => this.#point(event, pick));
                this.drawing.addEventListener('keydown', event => this.#move(event, pick));
            }
        }

        draw(caption, { shape, values }, { digits = short, inner, cell } = {}) {
            const [channels, rows, columns] = shape;
            this.shape = shape;
            this.caption.textContent = caption;
            const size = cell ?? Math.max(6, Math.min(34, Math.floor(250 / Math.max(rows, columns))));
            this.size = size;
            const color = scale(values);
            const parts = [];
            for (let channel = 0; channel < channels; channel += 1) {
                const body = [];
                for (let y = 0; y < rows; y += 1) {
                    for (let x = 0; x < columns; x += 1) {
                        const value = values[(channel * rows + y) * columns + x];
                        const { fill, ink } = color(value);
                        const around = inner && !inner(y, x);
                        const rim = around ? ' fill-opacity="0.35"' : '';
                        body.push(`<rect x="${x * size}" y="${y * size}" width="${size - (size > 9)}" height="${size - (size > 9)}" fill="${fill}"${rim}/>`);
                        if (size >= NUMBERED) {
                            const text = digits(value);
                            const font = Math.min(13, (size - 4) / (text.length * 0.58));
                            body.push(`<text x="${(x + 0.5) * size}" y="${(y + 0.5) * size + font * 0.35}" font-size="${font}" fill="${around ? 'var(--fg)' : ink}">${text}</text>`);
                        }
                    }
                }
                const [width, height] = [columns * size, rows * size];
                parts.push(`<svg data-channel="${channel}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${body.join('')}<g class="explorer-marks"></g></svg>`);
            }
            this.drawing.innerHTML = parts.join('');
        }

        /** Frames cells, each [channel, row, column], and dims nothing else. */
        mark(cells) {
            const { size } = this;
            const marks = this.drawing.querySelectorAll('.explorer-marks');
            const boxes = [...marks].map(() => '');
            for (const [channel, y, x] of cells) {
                if (channel in boxes) {
                    boxes[channel] += `<rect x="${x * size + 1}" y="${y * size + 1}" width="${size - 3}" height="${size - 3}"/>`;
                }
            }
            marks.forEach((group, channel) => { group.innerHTML = boxes[channel]; });
        }

        #point(event, pick) {
            const svg = event.target.closest('svg');
            if (!svg) return;
            const box = svg.getBoundingClientRect();
            const [, rows, columns] = this.shape;
            const part = (at, start, length, count) =>
                Math.min(count - 1, Math.max(0, Math.floor((at - start) / length * count)));
            pick(Number(svg.dataset.channel), part(event.clientY, box.top, box.height, rows),
                part(event.clientX, box.left, box.width, columns));
        }

        #move(event, pick) {
            const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
            if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
            event.preventDefault();
            event.stopPropagation();
            const [channels, rows, columns] = this.shape;
            let [channel, y, x] = this.at ?? [0, 0, 0];
            [y, x] = [y + by[0], x + by[1]];
            // Beyond the last column lies the next channel.
            if (x >= columns && channel + 1 < channels) [channel, x] = [channel + 1, 0];
            if (x < 0 && channel > 0) [channel, x] = [channel - 1, columns - 1];
            pick(channel, Math.min(rows - 1, Math.max(0, y)), Math.min(columns - 1, Math.max(0, x)));
        }
    }

    /** `name=value` words as an object. */
    function words(text) {
        return Object.fromEntries(text.split(/\s+/).filter(Boolean).map(word => word.split('=')));
    }

    window.candlelight = {
        el, slider, pair, choice, flag, code, short, scale, Maps, script, bytes,
        /** An explorer's script calls it: `make(place, options, crate)` fills the place. */
        explorer(kind, make) { kinds[kind] = make; },
    };

    for (const place of places) {
        const kind = place.dataset.explorer;
        Promise.all([load(), script(`${kind}.js`)])
            .then(([found]) => {
                const body = el('div', { class: 'explorer-body' });
                kinds[kind](body, words(place.dataset.options), found);
                place.replaceChildren(body);
                place.dataset.state = 'ready';
            })
            .catch(error => {
                place.dataset.state = 'failed';
                place.append(el('p', { class: 'explorer-error' }, `The explorer cannot start: ${error.message ?? error}`));
            });
    }
})();
