// The optimizers' explorer: a loss of two parameters, a start that is clicked, and the paths from it.

candlelight.explorer('descent', (place, options, crate) => {
    const { el, slider, choice, flag, code, frame, short } = candlelight;
    const from = (name, otherwise) => options[name] ?? otherwise;

    const RANGES = {
        bowl: [-4, 4, -3, 3], ravine: [-8, 8, -3, 3], saddle: [-3, 3, -3, 3], rosenbrock: [-2, 2, -1.5, 2.5],
    };
    const STARTS = { bowl: [-3, 2], ravine: [-7, 2], saddle: [-2, 0.05], rosenbrock: [-1.5, 2] };
    // Each optimizer's own parameters; a learning rate is a power of ten.
    const OWN = {
        sgd: ['momentum', 'dampening', 'nesterov', 'weight_decay'],
        adam: ['beta1', 'beta2', 'weight_decay'],
        adamw: ['beta1', 'beta2', 'weight_decay'],
        rmsprop: ['alpha', 'momentum'],
        adagrad: ['lr_decay'],
    };
    const [WIDE, HIGH] = [480, 360];
    const COLORS = ['#d55e00', '#1f7dc4', '#009e73', '#b86ba5'];

    const part = (label, value) => slider(label, { min: 0, max: 0.99, step: 0.01, value, show: v => v.toFixed(2) }, () => update());
    const rate = power => String(Number((10 ** power).toPrecision(2)));
    const lr = slider('lr', { min: -3, max: 0.5, step: 0.05, value: Math.log10(Number(from('lr', 0.1))),
        show: v => rate(v) }, () => update());
    const controls = {
        momentum: part('momentum', from('momentum', 0)),
        dampening: part('dampening', from('dampening', 0)),
        weight_decay: slider('weight_decay', { min: 0, max: 1, step: 0.01, value: from('weight_decay', 0) }, () => update()),
        beta1: part('betas, first', from('beta1', 0.9)),
        beta2: slider('betas, second', { min: 0.5, max: 0.999, step: 0.001, value: from('beta2', 0.999) }, () => update()),
        alpha: part('alpha', from('alpha', 0.99)),
        lr_decay: slider('lr_decay', { min: 0, max: 1, step: 0.01, value: from('lr_decay', 0) }, () => update()),
        nesterov: flag('nesterov', from('nesterov') === 'true', () => update()),
    };
    const surface = choice('surface', Object.keys(RANGES), from('surface', 'ravine'), () => {
        start = STARTS[surface.get()];
        kept = [];
        paint();
        update();
    });
    const optimizer = choice('optimizer', Object.keys(OWN), from('optimizer', 'sgd'), () => update());
    const steps = slider('steps', { min: 1, max: 300, value: from('steps', 60) }, () => update());
    const keep = el('button', { type: 'button', onclick: () => {
        if (current) kept = [...kept, current].slice(-3);
        update();
    } }, 'Keep this path');
    const clear = el('button', { type: 'button', onclick: () => { kept = []; update(); } }, 'Forget kept paths');

    const canvas = el('canvas', { width: WIDE, height: HIGH });
    const drawing = el('div', { class: 'explorer-surface', tabindex: 0, role: 'application',
        'aria-label': 'loss surface: click, or use the arrow keys, to choose the start' }, canvas);
    const overlay = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    overlay.setAttribute('viewBox', `0 0 ${WIDE} ${HIGH}`);
    drawing.append(overlay);
    const legend = el('p', { class: 'explorer-facts' });
    const sum = el('p', { class: 'explorer-sum', 'aria-live': 'polite' });
    const lines = code();
    const all = { surface, optimizer, lr, ...controls, steps };
    const buttons = el('div', { class: 'explorer-buttons' }, keep, clear);
    const compute = frame(place, all, Object.keys(all), [buttons], drawing, legend, sum, lines.element);

    let start = from('start') ? from('start').split(',').map(Number) : STARTS[surface.get()];
    let kept = [];
    let current;

    const range = () => RANGES[surface.get()];
    function placed(x, y) {
        const [left, right, low, high] = range();
        return [(x - left) / (right - left) * WIDE, (high - y) / (high - low) * HIGH];
    }

    /** Bands of gray, closer together near the lowest loss. */
    function paint() {
        const [columns, rows] = [WIDE / 2, HIGH / 2];
        const losses = crate.surface(surface.get(), columns, rows, Float64Array.from(range()));
        const sorted = Float64Array.from(losses).sort();
        const bands = 14;
        const limits = Array.from({ length: bands - 1 }, (_, i) =>
            sorted[Math.round(((i + 1) / bands) ** 1.6 * (sorted.length - 1))]);
        const image = new ImageData(columns, rows);
        losses.forEach((loss, i) => {
            const band = limits.filter(limit => limit < loss).length;
            image.data.set([0, 1, 2].map(() => 250 - 118 * band / (bands - 1)), 4 * i);
            image.data[4 * i + 3] = 255;
        });
        const small = el('canvas', { width: columns, height: rows });
        small.getContext('2d').putImageData(image, 0, 0);
        const context = canvas.getContext('2d');
        context.imageSmoothingEnabled = false;
        context.drawImage(small, 0, 0, WIDE, HIGH);
    }

    function update() {
        const mine = OWN[optimizer.get()];
        for (const [name, control] of Object.entries(controls)) control.element.hidden = !mine.includes(name);
        const words = [`surface=${surface.get()}`, `optimizer=${optimizer.get()}`, `lr=${rate(lr.get())}`,
            `steps=${steps.get()}`, ...mine.map(name => `${name}=${controls[name].get()}`)];
        const path = compute(() => crate.descend(words.join(' '), ...start));
        if (!path) return;
        current = { points: path.points, losses: path.losses, name: path.python.replace(/^.*?optim\./, '').replace('net.parameters(), ', '') };
        lines.set(path.rust, path.python);
        const paths = [current, ...kept];
        overlay.innerHTML = paths.map(drawn).reverse().join('');
        legend.replaceChildren(...paths.map((one, i) => el('span', {},
            el('i', { class: 'explorer-key', style: `background:${COLORS[i]}` }), one.name)));
        const { losses, points } = current;
        const last = losses.length - 1;
        const end = `after ${last} steps the loss is ${short(losses[last])} at (${short(points[2 * last])}, ${short(points[2 * last + 1])})`;
        const broke = last < steps.get() ? ': then it is no number any more' : '';
        sum.textContent = `from (${start.map(short).join(', ')}), where the loss is ${short(losses[0])}; ${end}${broke}`;
    }

    function drawn({ points, losses }, i) {
        const places = Array.from(losses, (_, step) => placed(points[2 * step], points[2 * step + 1]))
            .map(([x, y]) => [Math.min(Math.max(x, -1e4), 1e4), Math.min(Math.max(y, -1e4), 1e4)]);
        const line = Array.from(places, point => point.map(at => at.toFixed(1)).join(',')).join(' ');
        const dots = places.length > 120 ? '' : Array.from(places, ([x, y]) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="2.4"/>`).join('');
        const [[x, y], [lastX, lastY]] = [places[0], places[places.length - 1]];
        return `<g fill="${COLORS[i]}" stroke="none"><polyline points="${line}" fill="none" stroke="${COLORS[i]}" stroke-width="2"/>${dots}`
            + `<circle cx="${x}" cy="${y}" r="5.5" fill="#fff" stroke="${COLORS[i]}" stroke-width="2.5"/>`
            + `<circle cx="${lastX}" cy="${lastY}" r="5" stroke="#fff" stroke-width="1.5"/></g>`;
    }

    function move(x, y) {
        const [left, right, low, high] = range();
        start = [Math.min(Math.max(x, left), right), Math.min(Math.max(y, low), high)].map(at => Number(at.toFixed(3)));
        update();
    }
    function pointed(event) {
        const box = canvas.getBoundingClientRect();
        const [left, right, low, high] = range();
        move(left + (right - left) * (event.clientX - box.left) / box.width,
            high - (high - low) * (event.clientY - box.top) / box.height);
    }
    drawing.addEventListener('pointerdown', event => {
        drawing.setPointerCapture(event.pointerId);
        pointed(event);
    });
    drawing.addEventListener('pointermove', event => { if (event.buttons) pointed(event); });
    drawing.addEventListener('keydown', event => {
        const by = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
        if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        event.stopPropagation();
        const [left, right, low, high] = range();
        move(start[0] + by[0] * (right - left) / 40, start[1] + by[1] * (high - low) / 40);
    });

    paint();
    update();
});
