// Explorers: what a reader moves with sliders is computed in the page by the support crate, compiled to WebAssembly.
// This file finds the places and loads the crate, what explorers are made of, and the explorer's own script.
// Classic scripts and base64, not modules and fetch: these would not work from a file.

(() => {
    'use strict';

    const places = [...document.querySelectorAll('.explorer')];
    if (!places.length) return;

    const folder = `${path_to_root}explorers/`;
    const kinds = {};
    const loading = {};

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
            // One after another: maps.js uses what controls.js defines.
            const parts = script('controls.js').then(() => script('maps.js'));
            await Promise.all([parts, script('candlelight_explorers.js'), script('candlelight_explorers_wasm.js')]);
            await wasm_bindgen({ module_or_path: bytes('wasm') });
            return wasm_bindgen;
        })();
        return crate;
    }

    /** `name=value` words as an object. */
    function words(text) {
        return Object.fromEntries(text.split(/\s+/).filter(Boolean).map(word => word.split('=')));
    }

    window.candlelight = {
        script, bytes,
        /** An explorer's script calls it: `make(place, options, crate)` fills the place. */
        explorer(kind, make) { kinds[kind] = make; },
    };

    for (const place of places) {
        const kind = place.dataset.explorer;
        Promise.all([load(), script(`${kind}.js`)])
            .then(([found]) => {
                const body = document.createElement('div');
                body.className = 'explorer-body';
                kinds[kind](body, words(place.dataset.options), found);
                place.replaceChildren(body);
                place.dataset.state = 'ready';
                performance.mark('explorer');
            })
            .catch(error => {
                place.dataset.state = 'failed';
                const line = document.createElement('p');
                line.className = 'explorer-error';
                line.textContent = `The explorer cannot start: ${error.message ?? error}`;
                place.append(line);
            });
    }
})();
