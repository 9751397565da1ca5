// Draw a digit: a canvas, and what each layer of the trained small network makes of it.

candlelight.explorer('digit', (place, options, crate) => {
    const { el, slider, frame, tensor, Maps } = candlelight;
    const SIDE = 280;

    const pen = slider('width of the pen', { min: 8, max: 40, value: options.pen ?? 22 }, () => {});
    const canvas = el('canvas', { width: SIDE, height: SIDE });
    const cursor = el('div', { class: 'explorer-cursor', hidden: true });
    const paper = el('div', { class: 'explorer-paper', tabindex: 0, role: 'application',
        'aria-label': 'paper: draw a digit with the pointer; or move the pen with the arrow keys, with Shift to draw' },
    canvas, cursor);
    const help = el('p', { class: 'explorer-facts' }, 'Draw here; by keyboard: arrows move the pen, with Shift it draws.');
    const clear = el('button', { type: 'button', onclick: () => { blank(); update(); } }, 'Clear');
    const shown = el('select', { 'aria-label': 'a test image', onchange: () => load(Number(shown.value)) },
        ...Array.from({ length: 10 }, (_, digit) => el('option', { value: digit }, `test image of ${digit}`)));
    const image = new Maps('as an image of MNIST');
    const first = new Maps('after conv1');
    const second = new Maps('after conv2');
    const hidden = new Maps('after fc1');
    const table = el('table', { class: 'explorer-table' });
    const sum = el('p', { class: 'explorer-sum', 'aria-live': 'polite' });
    const figures = el('div', { class: 'explorer-figures' },
        image.element, first.element, second.element, hidden.element);
    const buttons = el('div', { class: 'explorer-buttons' }, clear, shown);
    const compute = frame(place, { pen }, ['pen'], [paper, help, buttons], sum, table, figures);

    const context = canvas.getContext('2d', { willReadFrequently: true });
    let at = [SIDE / 2, SIDE / 2];
    let waiting = false;

    function blank() {
        context.fillStyle = '#000';
        context.fillRect(0, 0, SIDE, SIDE);
    }

    function load(digit) {
        const grays = crate.test_digit(digit);
        const side = Math.sqrt(grays.length);
        const pixels = new ImageData(side, side);
        grays.forEach((gray, i) => pixels.data.set([gray, gray, gray, 255], 4 * i));
        const small = el('canvas', { width: side, height: side });
        small.getContext('2d').putImageData(pixels, 0, 0);
        context.drawImage(small, 0, 0, SIDE, SIDE);
        update();
    }

    function line(from, to) {
        context.strokeStyle = '#fff';
        context.lineCap = 'round';
        context.lineJoin = 'round';
        context.lineWidth = pen.get();
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...to);
        context.stroke();
        // Once for each picture that the screen shows.
        if (waiting) return;
        waiting = true;
        requestAnimationFrame(() => { waiting = false; update(); });
    }

    function update() {
        const { data } = context.getImageData(0, 0, SIDE, SIDE);
        const grays = Uint8Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i]);
        const view = compute(() => crate.digit(grays, SIDE));
        if (!view) return;
        const [drawn, one, two, fifty, { values }] =
            [view.image(), view.first(), view.second(), view.hidden(), view.probabilities()].map(tensor);
        image.draw('the image that the net sees, 28 × 28', drawn, { cell: 5 });
        first.draw('conv1, max pool, ReLU: 10 × 12 × 12', one, { cell: 6 });
        second.draw('conv2, max pool, ReLU: 20 × 4 × 4', two, { cell: 8 });
        hidden.draw('fc1, ReLU: 50', fifty, { cell: 12 });
        const best = values.indexOf(Math.max(...values));
        const rows = Array.from(values, (value, digit) => el('tr', digit === best ? { class: 'explorer-target' } : {},
            el('th', { scope: 'row' }, String(digit)), el('td', {}, value.toFixed(3)),
            el('td', { class: 'explorer-bar' }, el('span', { class: 'explorer-above', style: `width:${100 * value}%` }))));
        const head = el('tr', {}, ...['digit', 'probability', ''].map(text => el('th', {}, text)));
        table.replaceChildren(el('thead', {}, head), el('tbody', {}, ...rows));
        const empty = drawn.values.every(value => value === 0);
        sum.textContent = empty
            ? 'Nothing is drawn: what the net says of a black image.'
            : `The net says ${best}, with probability ${values[best].toFixed(3)}.`;
    }

    function pointed(event) {
        const box = canvas.getBoundingClientRect();
        return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
    }
    paper.addEventListener('pointerdown', event => {
        paper.setPointerCapture(event.pointerId);
        at = pointed(event);
        line(at, at);
    });
    paper.addEventListener('pointermove', event => {
        if (!event.buttons) return;
        const next = pointed(event);
        line(at, next);
        at = next;
    });
    paper.addEventListener('keydown', event => {
        const by = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
        if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        event.stopPropagation();
        const next = at.map((value, i) => Math.min(Math.max(value + 8 * by[i], 0), SIDE));
        if (event.shiftKey) line(at, next);
        at = next;
        cursor.hidden = false;
        cursor.style.left = `${at[0] / SIDE * 100}%`;
        cursor.style.top = `${at[1] / SIDE * 100}%`;
    });
    paper.addEventListener('blur', () => { cursor.hidden = true; });

    blank();
    shown.value = options.digit ?? 3;
    load(Number(shown.value));
});
