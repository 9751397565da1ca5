// Numbers as coloured grids, in the colours of the plots.

(() => {
    'use strict';

    const { el } = candlelight;

    /** Shape and values of what the crate gives, which is freed. */
    function tensor(maps) {
        const plain = { shape: [...maps.shape], values: maps.values };
        maps.free();
        return plain;
    }

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

    Object.assign(candlelight, { tensor, short, scale, Maps });
})();
