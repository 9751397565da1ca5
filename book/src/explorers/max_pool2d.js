// The max pooling's explorer: its parameters, its indices and where its gradient goes.

candlelight.explorer('max_pool2d', (place, options, crate) => {
    const { el, slider, pair, choice, flag, code, frame, say, shape, tensor, short, Maps } = candlelight;
    const from = (name, otherwise) => options[name] ?? otherwise;
    const kernel = from('kernel_size', 2);

    const controls = {
        kernel_size: pair('kernel_size', { min: 1, max: 5, value: kernel }, () => update()),
        stride: pair('stride', { min: 1, max: 5, value: from('stride', kernel) }, () => update()),
        padding: pair('padding', { min: 0, max: 3, value: from('padding', 0) }, () => update()),
        dilation: pair('dilation', { min: 1, max: 3, value: from('dilation', 1) }, () => update()),
        ceil_mode: flag('ceil_mode', from('ceil_mode') === 'true', () => update()),
        input: choice('input', ['numbers', 'ramp', 'digit'], from('input', 'numbers'), () => update()),
        size: slider('size of the input', { min: 2, max: 12, value: from('size', 6) }, () => update()),
        digit: slider('digit', { min: 0, max: 9, value: from('digit', 3) }, () => update()),
    };
    const view = choice('output shows', ['maxima', 'indices'], from('show', 'maxima'), () => update());
    const first = from('controls', 'kernel_size,stride,padding,dilation,ceil_mode').split(',');

    const inputs = new Maps('input');
    const outputs = new Maps('output', (_, y, x) => point(y, x));
    const gradients = new Maps('gradient');
    const sum = el('p', { class: 'explorer-sum', 'aria-live': 'polite' });
    const facts = el('p', { class: 'explorer-facts' });
    const figures = el('div', { class: 'explorer-figures' }, inputs.element, outputs.element, gradients.element);
    const lines = code();
    const compute = frame(place, controls, first, [view.element], figures, sum, facts, lines.element);

    let layer;
    let tensors;
    let at = [0, 0];

    function update() {
        controls.size.element.hidden = controls.input.get() === 'digit';
        controls.digit.element.hidden = controls.input.get() !== 'digit';
        const words = Object.entries(controls).map(([name, control]) => `${name}=${control.get()}`);
        const next = compute(() => crate.max_pool2d(words.join(' ')));
        if (!next) return;
        layer = next;
        tensors = Object.fromEntries(['input', 'output', 'indices', 'gradient'].map(name => [name, tensor(layer[name]())]));
        const { input, output, indices, gradient } = tensors;
        at = [Math.min(at[0], output.shape[1] - 1), Math.min(at[1], output.shape[2] - 1)];
        inputs.draw(`input ${input.shape.join(' × ')}`, input);
        const shown = view.get() === 'indices' ? indices : output;
        outputs.draw(`${view.get()} ${output.shape.join(' × ')}`, shown);
        gradients.draw('∂ sum of the outputs / ∂ input', gradient);
        say(facts, shape(layer.formulas()), '0 parameters');
        lines.set(layer.rust(), layer.python());
        point(...at);
    }

    function point(y, x) {
        at = [y, x];
        outputs.at = [0, y, x];
        outputs.mark([[0, y, x]]);
        const { input, output, indices } = tensors;
        const [, rows, columns] = input.shape;
        const window = layer.window(y, x);
        const cells = [];
        let outside = 0;
        for (let i = 0; i < window.length; i += 2) {
            const inside = window[i] >= 0 && window[i] < rows && window[i + 1] >= 0 && window[i + 1] < columns;
            if (inside) cells.push([0, window[i], window[i + 1]]);
            else outside += 1;
        }
        inputs.mark(cells);
        const place = y * output.shape[2] + x;
        const index = indices.values[place];
        gradients.mark(index < 0 ? [] : [[0, Math.floor(index / columns), index % columns]]);
        const values = cells.map(([, i, j]) => short(input.values[i * columns + j]));
        const shown = values.length > 12 ? [...values.slice(0, 11), '…'] : values;
        const beside = outside ? `, and ${outside} of −∞ outside of the input` : '';
        sum.textContent = `output[0, ${y}, ${x}] = max(${shown.join(', ')}${beside}) = ${short(output.values[place])}, `
            + `index ${short(index)} = row ${Math.floor(index / columns)} · ${columns} + column ${index % columns}`;
    }

    update();
});
