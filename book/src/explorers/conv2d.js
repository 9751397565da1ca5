// The convolution's explorer: all nine parameters on a small grid of numbers or on a digit.

candlelight.explorer('conv2d', (place, options, crate) => {
    const { el, slider, pair, choice, flag, code, frame, say, shape, tensor, short, Maps } = candlelight;
    const from = (name, otherwise) => options[name] ?? otherwise;
    const same = from('padding') === 'same';

    const controls = {
        kernel_size: pair('kernel_size', { min: 1, max: 7, value: from('kernel_size', 3) }, () => update()),
        stride: pair('stride', { min: 1, max: 4, value: from('stride', 1) }, () => update()),
        padding: pair('padding', { min: 0, max: 4, value: same ? 0 : from('padding', 0) }, () => update()),
        dilation: pair('dilation', { min: 1, max: 3, value: from('dilation', 1) }, () => update()),
        in_channels: slider('in_channels', { min: 1, max: 4, value: from('in_channels', 1) }, () => update()),
        out_channels: slider('out_channels', { min: 1, max: 4, value: from('out_channels', 1) }, () => update()),
        groups: slider('groups', { min: 1, max: 4, value: from('groups', 1) }, () => update()),
        padding_mode: choice('padding_mode', ['zeros', 'reflect', 'replicate', 'circular'],
            from('padding_mode', 'zeros'), () => update()),
        bias: flag('bias', from('bias', 'true') === 'true', () => update()),
        input: choice('input', ['numbers', 'ramp', 'impulse', 'digit'], from('input', 'numbers'), () => update()),
        size: slider('size of the input', { min: 3, max: 12, value: from('size', 6) }, () => update()),
        digit: slider('digit', { min: 0, max: 9, value: from('digit', 3) }, () => update()),
        weight: choice('weight', ['vertical', 'horizontal', 'blur', 'sharpen', 'identity', 'random'],
            from('weight', 'vertical'), () => update()),
    };
    const sameFlag = flag('padding="same"', same, () => update());
    controls.padding.element.append(sameFlag.element);
    const view = choice('show', ['forward', 'gradient'], 'forward', () => update());

    const first = from('controls', 'kernel_size,stride,padding,dilation').split(',');
    const inputs = new Maps('input');
    const weights = new Maps('weight');
    const outputs = new Maps('output', (channel, y, x) => point(channel, y, x));
    const sum = el('p', { class: 'explorer-sum', 'aria-live': 'polite' });
    const facts = el('p', { class: 'explorer-facts' });
    const figures = el('div', { class: 'explorer-figures' }, inputs.element, weights.element, outputs.element);
    const lines = code();
    const compute = frame(place, controls, first, [view.element], figures, sum, facts, lines.element);

    let layer;
    let at = [0, 0, 0];

    function described() {
        const all = Object.entries(controls).map(([name, control]) => [name, control.get()]);
        const given = all.map(([name, value]) => [name, name === 'padding' && sameFlag.get() ? 'same' : value]);
        return given.map(([name, value]) => `${name}=${value}`).join(' ');
    }

    function update() {
        controls.size.element.hidden = controls.input.get() === 'digit';
        controls.digit.element.hidden = controls.input.get() !== 'digit';
        const next = compute(() => crate.conv2d(described()));
        if (!next) return;
        layer = next;
        const output = tensor(layer.output());
        const [filters, rows, columns] = output.shape;
        at = [Math.min(at[0], filters - 1), Math.min(at[1], rows - 1), Math.min(at[2], columns - 1)];
        outputs.draw(`output ${output.shape.join(' × ')}`, output);
        drawWeights();
        say(facts, shape(layer.formulas()), `${layer.parameters()} parameters`,
            `${layer.multiply_adds().toLocaleString('en')} multiply-adds`);
        lines.set(layer.rust(), layer.python());
        point(...at);
    }

    function drawWeights() {
        const weight = tensor(layer.weight());
        const [filters, channels, h, w] = weight.shape;
        weights.draw(`weight ${weight.shape.join(' × ')}`, { shape: [filters * channels, h, w], values: weight.values },
            { cell: Math.max(12, Math.min(30, Math.floor(150 / Math.max(h, w)))) });
    }

    function point(filter, y, x) {
        at = [filter, y, x];
        outputs.at = at;
        outputs.mark([at]);
        const taps = layer.window(filter, y, x);
        const [places, products] = [[], []];
        let channels = 0;
        for (let i = 0; i < taps.length; i += 8) {
            const [channel, row, column, value, c, , , weight] = taps.subarray(i, i + 8);
            places.push([channel, row, column]);
            channels = Math.max(channels, c + 1);
            products.push(`${short(value)}·${short(weight)}`);
        }
        const [top, left] = layer.before();
        if (view.get() === 'gradient') {
            const gradient = tensor(layer.gradient_at(filter, y, x));
            inputs.draw(`∂ output[${at}] / ∂ input`, gradient);
            // Of the padding there is no gradient.
            const [, h, w] = gradient.shape;
            inputs.mark(places.map(([c, i, j]) => [c, i - top, j - left])
                .filter(([, i, j]) => i >= 0 && i < h && j >= 0 && j < w));
            sum.textContent = 'An input’s gradient is the weight that it was multiplied by; 0 outside of the window.';
        } else {
            const padded = tensor(layer.padded());
            const [, h, w] = padded.shape;
            const pads = h - top > 0 && (top || left);
            const size = controls.input.get() === 'digit' ? 28 : controls.size.get();
            inputs.draw(`input ${[padded.shape[0], size, size].join(' × ')}${pads ? ', padded' : ''}`, padded, {
                inner: (i, j) => i >= top && i < top + size && j >= left && j < left + size,
            });
            inputs.mark(places);
            const output = tensor(layer.output());
            const value = output.values[(filter * output.shape[1] + y) * output.shape[2] + x];
            const bias = layer.bias();
            const added = bias ? ` + ${short(bias.values[filter])}` : '';
            bias?.free();
            const shown = products.length > 12 ? [...products.slice(0, 11), `… ${products.length} products`] : products;
            sum.textContent = `output[${at.join(', ')}] = ${shown.join(' + ')}${added} = ${short(value)}`;
        }
        weights.mark(weightCells(filter, channels));
    }

    /** All cells of one filter. */
    function weightCells(filter, channels) {
        const [, h, w] = weights.shape;
        const cells = [];
        for (let c = 0; c < channels; c += 1) {
            for (let i = 0; i < h; i += 1) {
                for (let j = 0; j < w; j += 1) cells.push([filter * channels + c, i, j]);
            }
        }
        return cells;
    }

    update();
});
