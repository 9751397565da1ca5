// What explorers are made of: sliders, choices, flags, code to copy, and the frame around them.

(() => {
    'use strict';

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
        const input = el('input', { type: 'range', id, min, max, step, value });
        // What the slider made of the value: the next of its steps.
        const out = el('output', { for: id }, show(Number(input.value)));
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

    /** Controls by name, those of `first` in sight and the rest folded; `beside` between; then the stage. */
    function frame(place, controls, first, beside, ...stage) {
        const trouble = el('p', { class: 'explorer-error', role: 'alert', hidden: true });
        const shown = el('div', { class: 'explorer-stage' }, trouble, ...stage);
        const elements = wanted => Object.keys(controls).filter(name => first.includes(name) === wanted)
            .map(name => controls[name].element);
        const folded = elements(false);
        const more = folded.length ? [el('details', {}, el('summary', {}, 'More'), ...folded)] : [];
        place.append(el('div', { class: 'explorer-controls' }, ...elements(true), ...beside, ...more), shown);
        let held;
        /** What `make` gives, in place of what it gave before; where it throws, nothing, and its words are shown. */
        return make => {
            try {
                const next = make();
                held?.free();
                held = next;
            } catch (error) {
                trouble.textContent = String(error.message ?? error);
                trouble.hidden = false;
                shown.classList.add('explorer-stale');
                return undefined;
            }
            trouble.hidden = true;
            shown.classList.remove('explorer-stale');
            return held;
        };
    }

    /** Facts in a row, in place of those before. */
    function say(line, ...facts) {
        line.replaceChildren(...facts.map(fact => el('span', {}, fact)));
    }

    /** The shape formula, once where rows and columns agree. */
    function shape([rows, columns]) {
        return rows === columns ? `H′ = W′ = ${rows}` : `H′ = ${rows}, W′ = ${columns}`;
    }

    Object.assign(candlelight, { el, slider, pair, choice, flag, code, frame, say, shape });
})();
