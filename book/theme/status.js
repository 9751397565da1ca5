// The bar at the bottom of the window: what the engine does, always, and what a reader must hear.
const liveStatus = (() => {
    'use strict';

    function make() {
        const element = document.createElement('div');
        element.id = 'live-status';
        const engine = document.createElement('span');
        engine.className = 'live-engine';
        engine.setAttribute('role', 'status');
        const words = document.createElement('span');
        words.setAttribute('role', 'status');
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = 'Run them again';
        element.append(engine, words, button);
        document.body.append(element);

        let kind = '';
        /** A line for the reader, of the kind '', 'bad' or 'gone'; `again` is what the button does. */
        const say = (line, newKind = '', again = null) => {
            // That the variables are gone stays until a cell runs.
            if (kind === 'gone' && newKind === '' && line === '') return;
            kind = newKind;
            words.textContent = line;
            words.hidden = line === '';
            element.className = kind;
            button.hidden = !again;
            button.onclick = () => {
                say('');
                if (again) again();
            };
        };
        say('');
        /** The engine's state: 'ready', 'starting', 'running' or 'away', in these words. */
        const show = (state, line) => {
            if (engine.textContent === line) return;
            engine.dataset.state = state;
            engine.textContent = line;
        };
        return { say, show, settle: () => { kind = ''; say(''); } };
    }

    return { make };
})();
