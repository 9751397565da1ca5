// The cross-entropy's explorer: logits as sliders; their probabilities, the loss and its gradient.

candlelight.explorer('cross_entropy', (place, options, crate) => {
    const { el, slider, frame, short } = candlelight;
    const given = (options.logits ?? '2,0.5,-1,0').split(',').map(Number);
    const names = (options.classes ?? given.map((_, i) => i).join(',')).split(',');
    const number = value => value.toFixed(1).replace('-', '−');

    const logits = given.map((value, i) => slider(`logit of ${names[i]}`,
        { min: -6, max: 6, step: 0.1, value, show: number }, () => update()));
    let target = Number(options.target ?? 0);
    const radio = `explorer-target-${Math.random().toString(36).slice(2)}`;
    const targets = names.map((name, i) => {
        const input = el('input', { type: 'radio', name: radio, value: i });
        input.checked = i === target;
        input.addEventListener('change', () => { target = i; update(); });
        return el('label', {}, input, name);
    });
    const smoothing = slider('label_smoothing',
        { min: 0, max: 0.5, step: 0.05, value: options.label_smoothing ?? 0, show: value => value.toFixed(2) }, () => update());
    const table = el('table', { class: 'explorer-table' });
    const sum = el('p', { class: 'explorer-sum', 'aria-live': 'polite' });
    const controls = Object.fromEntries(logits.map((one, i) => [i, one]));
    const choose = el('fieldset', {}, el('legend', {}, 'target'), ...targets);
    const compute = frame(place, controls, Object.keys(controls), [choose, smoothing.element], table, sum);

    /** A bar from the middle of its cell, to the right above 0 and to the left below. */
    function bar(value, most, both) {
        const width = Math.min(Math.abs(value) / most, 1) * (both ? 50 : 100);
        const start = both ? (value < 0 ? 50 - width : 50) : 0;
        const color = value < 0 ? 'explorer-below' : 'explorer-above';
        return el('td', { class: 'explorer-bar' },
            el('span', { class: color, style: `margin-left:${start}%;width:${width}%` }));
    }

    function update() {
        const values = Float32Array.from(logits, one => one.get());
        const loss = compute(() => crate.cross_entropy(values, target, smoothing.get()));
        if (!loss) return;
        const [probabilities, gradient] = [loss.probabilities, loss.gradient];
        const head = ['class', 'logit', 'probability', '', 'gradient', ''].map(text => el('th', {}, text));
        const rows = names.map((name, i) => el('tr', i === target ? { class: 'explorer-target' } : {},
            el('th', { scope: 'row' }, i === target ? `${name} (target)` : name),
            el('td', {}, number(values[i])),
            el('td', {}, probabilities[i].toFixed(4)), bar(probabilities[i], 1, false),
            el('td', {}, gradient[i].toFixed(4).replace('-', '−')), bar(gradient[i], 1, true)));
        table.replaceChildren(el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...rows));
        const plain = `−ln ${probabilities[target].toFixed(4)} = ${short(-Math.log(probabilities[target]))}`;
        const eps = smoothing.get();
        sum.textContent = eps > 0
            ? `loss = ${loss.loss.toFixed(4)}: ${(1 - eps).toFixed(2)} of −ln of the target’s probability, and ${eps.toFixed(2)} of the mean of −ln over all classes`
            : `loss = ${plain}`;
    }

    update();
});
