// Training in the page: the small network on 2,000 images, a batch at a time, with its loss drawn as it falls.

candlelight.explorer('training', (place, options, crate) => {
    const { el, slider, choice, code, frame, say, script, bytes } = candlelight;
    const from = (name, otherwise) => options[name] ?? otherwise;
    const [WIDE, HIGH, LEFT, BOTTOM, TOP] = [520, 260, 44, 30, 12];
    const EPOCHS = 20;
    const COLORS = ['#d55e00', '#1f7dc4', '#009e73'];
    // Work between two pictures of the screen, ms: the page stays quick to the touch.
    const SLICE = 12;

    const rate = power => String(Number((10 ** power).toPrecision(2)));
    const controls = {
        optimizer: choice('optimizer', ['sgd', 'adam', 'adamw', 'rmsprop', 'adagrad'], from('optimizer', 'sgd'), restart),
        lr: slider('lr', { min: -4, max: 0, step: 0.1, value: Math.log10(Number(from('lr', 0.05))), show: rate }, restart),
        momentum: slider('momentum', { min: 0, max: 0.99, step: 0.01, value: from('momentum', 0.9) }, restart),
        batch_size: slider('batch_size', { min: 4, max: 9, value: Math.log2(Number(from('batch_size', 64))),
            show: power => String(2 ** power) }, restart),
        images: slider('images', { min: 100, max: 2000, step: 100, value: from('images', 2000) }, restart),
        seed: slider('seed', { min: 0, max: 20, value: from('seed', 0) }, restart),
    };
    const toggle = el('button', { type: 'button', onclick: () => (running ? stop() : start()) }, 'Train');
    const again = el('button', { type: 'button', onclick: restart }, 'From the start');
    const keep = el('button', { type: 'button', onclick: () => {
        if (current?.losses.length) kept = [current, ...kept].slice(0, 2);
        restart();
    } }, 'Keep this curve');
    const chart = el('div', { role: 'img', 'aria-label': 'loss of each batch, by pass over the images' });
    const legend = el('p', { class: 'explorer-facts' });
    const facts = el('p', { class: 'explorer-facts', 'aria-live': 'polite' });
    const lines = code();
    lines.element.hidden = true;
    const compute = frame(place, controls, Object.keys(controls),
        [el('div', { class: 'explorer-buttons' }, toggle, again, keep)], chart, legend, facts, lines.element);

    let data;
    let model;
    let running = false;
    /** The next slice, so that there is never more than one to come. */
    let frameAhead;
    let current;
    let kept = [];

    function stop() {
        running = false;
        cancelAnimationFrame(frameAhead);
        toggle.textContent = 'Train';
    }

    async function start() {
        running = true;
        toggle.textContent = 'Stop';
        try {
            await script('training_data.js');
        } catch (error) {
            say(facts, error.message);
            return stop();
        }
        data ??= bytes('training');
        const isDone = current && current.losses.length >= EPOCHS * current.per;
        if (!model || isDone) restart({ on: true });
        cancelAnimationFrame(frameAhead);
        frameAhead = requestAnimationFrame(slice);
    }

    /** A new net with what the controls say; it goes on where one was training. */
    function restart({ on = running } = {}) {
        controls.momentum.element.hidden = !['sgd', 'rmsprop'].includes(controls.optimizer.get());
        if (!data) return;
        const words = [`optimizer=${controls.optimizer.get()}`, `lr=${rate(controls.lr.get())}`,
            `batch_size=${2 ** controls.batch_size.get()}`, `images=${controls.images.get()}`, `seed=${controls.seed.get()}`];
        if (!controls.momentum.element.hidden) words.push(`momentum=${controls.momentum.get()}`);
        model = compute(() => crate.training(data, words.join(' ')));
        if (!model) return stop();
        lines.set(model.rust, model.python);
        lines.element.hidden = false;
        const name = model.python.replace(/^.*?optim\./, '').replace('net.parameters(), ', '');
        current = { name: `${name}, batch_size=${2 ** controls.batch_size.get()}`, losses: [], per: model.steps_per_epoch, accuracy: model.accuracy() };
        draw();
        if (!on) stop();
    }

    function slice() {
        if (!running) return;
        const end = performance.now() + SLICE;
        do {
            current.losses.push(model.step());
            if (current.losses.length % current.per === 0) current.accuracy = model.accuracy();
        } while (performance.now() < end && current.losses.length < EPOCHS * current.per);
        draw();
        if (current.losses.length >= EPOCHS * current.per) return stop();
        frameAhead = requestAnimationFrame(slice);
    }

    /** A loss is spread over decades: the axis is logarithmic, 0.001 to 10. */
    const y = loss => TOP + (HIGH - TOP - BOTTOM) * (1 - (Math.log10(Math.min(Math.max(loss, 1e-3), 10)) + 3) / 4);

    function draw() {
        const curves = [current, ...kept];
        const passes = Math.max(2, ...curves.map(curve => Math.ceil(curve.losses.length / curve.per)));
        const x = pass => LEFT + (WIDE - LEFT - 10) * pass / passes;
        const parts = [1e-3, 1e-2, 0.1, 1, 10].map(loss =>
            `<line x1="${LEFT}" x2="${WIDE - 10}" y1="${y(loss)}" y2="${y(loss)}" class="explorer-grid"/><text x="${LEFT - 6}" y="${y(loss) + 4}" text-anchor="end">${loss}</text>`);
        const every = Math.ceil(passes / 10);
        for (let pass = 0; pass <= passes; pass += every) {
            parts.push(`<text x="${x(pass)}" y="${HIGH - BOTTOM + 16}" text-anchor="middle">${pass}</text>`);
        }
        parts.push(`<text x="${(LEFT + WIDE) / 2}" y="${HIGH - 1}" text-anchor="middle">epoch</text>`,
            `<text x="12" y="${HIGH / 2}" text-anchor="middle" transform="rotate(-90 12 ${HIGH / 2})">loss</text>`);
        curves.map((curve, i) => {
            const points = curve.losses.map((loss, step) => `${x((step + 1) / curve.per).toFixed(1)},${y(Number.isFinite(loss) ? loss : 10).toFixed(1)}`);
            return `<polyline points="${points.join(' ')}" fill="none" stroke="${COLORS[i]}" stroke-width="1.5"/>`;
        }).reverse().forEach(curve => parts.push(curve));
        chart.innerHTML = `<svg class="explorer-chart" viewBox="0 0 ${WIDE} ${HIGH}" aria-hidden="true">${parts.join('')}</svg>`;
        legend.replaceChildren(...curves.map((curve, i) => el('span', {},
            el('i', { class: 'explorer-key', style: `background:${COLORS[i]}` }),
            `${curve.name}: ${(100 * curve.accuracy).toFixed(1)} % of the test images`)));
        const { losses, per } = current;
        const last = losses.length ? losses[losses.length - 1] : undefined;
        say(facts, `${losses.length} steps, ${(losses.length / per).toFixed(1)} of ${EPOCHS} epochs`,
            last === undefined ? 'no loss yet' : `loss ${Number.isFinite(last) ? last.toFixed(4) : 'no number: the lr is too large'}`);
    }

    controls.momentum.element.hidden = !['sgd', 'rmsprop'].includes(controls.optimizer.get());
    say(facts, 'Train starts it: 21,840 parameters, in this page, with the code of the crate.');
});
