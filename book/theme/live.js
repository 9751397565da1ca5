// Makes the cells run where `cargo book` serves the page. Elsewhere nothing here changes the page:
// buttons appear once the server has answered.
(() => {
    'use strict';
    const cells = Array.from(document.querySelectorAll('.cell[data-cell]'), describe);
    // A book on the web has no port in its address.
    const here = location.protocol === 'http:' && location.port !== '';
    if (cells.length === 0 || !here) return;

    const chapter = cells[0].chapter;
    const byId = new Map(cells.map(cell => [cell.id, cell]));
    const bar = liveStatus.make();
    // What is being done before a kernel is there.
    let preparing = '';
    let socket = null;
    let wasOpen = false;
    let attempts = 0;
    // Questions that have no answer yet, and how long one may take: a kernel may have to start.
    const PATIENCE = 30000;
    const waiting = new Map();
    let asked = 0;

    function describe(element, index) {
        const code = element.querySelector('.cell-code');
        const original = code.textContent;
        const chapter = element.dataset.chapter;
        return {
            id: element.dataset.cell, chapter, index, element, code, original,
            outputs: element.querySelector('.cell-outputs'),
            source: hash(original),
            key: `candlelight ${chapter} ${element.dataset.cell} ${hash(original)}`,
            state: 'idle', began: 0, ran: false, isForeign: false,
        };
    }

    function hash(text) {
        let sum = 0x811c9dc5;
        for (const c of text) sum = Math.imul(sum ^ c.codePointAt(0), 0x01000193) >>> 0;
        return sum.toString(16);
    }

    // The server

    function connect() {
        socket = new WebSocket(`ws://${location.host}/ws?chapter=${encodeURIComponent(chapter)}`);
        socket.onopen = () => {
            if (!wasOpen) cells.forEach(equip);
            wasOpen = true;
            attempts = 0;
            // What runs and what waits comes with the server's first messages.
            for (const cell of cells) if (cell.state !== 'idle') show(cell, 'idle', '');
            enable(true);
            bar.say('');
            tell();
        };
        socket.onmessage = event => receive(JSON.parse(event.data));
        socket.onclose = lost;
    }

    async function lost() {
        if (!wasOpen) return;
        enable(false);
        tell();
        attempts += 1;
        const answer = await fetch('/', { method: 'HEAD', cache: 'no-store' }).catch(() => null);
        if (answer && answer.status === 403) {
            bar.say('The server was started anew: open the address that it printed. Edits are kept.', 'bad');
        } else {
            bar.say('No connection to `cargo book`; trying again. Edits are kept.', 'bad');
        }
        setTimeout(connect, Math.min(5000, 500 * attempts));
    }

    function send(message) {
        if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
    }

    function receive(message) {
        if ('status' in message) {
            preparing = message.status;
            tell();
            return bar.say('');
        }
        if ('gone' in message) return gone(message.gone);
        if ('reload' in message) return location.reload();
        if ('ask' in message) return waiting.get(message.ask)?.(message);
        const cell = byId.get(message.cell);
        if (!cell) return;
        if ('queued' in message) {
            show(cell, message.queued ? 'queued' : 'idle', message.queued ? 'queued' : '');
        } else if ('began' in message) {
            // Outputs of the cell as it was before the chapter changed.
            cell.isForeign = message.source !== cell.source;
            if (cell.isForeign) return;
            cell.outputs.replaceChildren();
            cell.editor.mark([]);
            cell.element.removeAttribute('data-stale');
            cell.began = performance.now() - 1000 * message.began;
            cell.ran = true;
            bar.settle();
            show(cell, 'running', 'running');
        } else if (cell.isForeign) {
            return;
        } else if ('html' in message) {
            const before = cell.outputs.children[message.at];
            if (before) before.outerHTML = message.html;
            else cell.outputs.insertAdjacentHTML('beforeend', message.html);
        } else if ('marks' in message) {
            // Not where it was edited since.
            if (cell.editor.text() === message.code) cell.editor.mark(message.marks);
        } else if ('done' in message) {
            const { ok, lost, seconds } = message.done;
            const took = `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(0)} s`;
            if (ok) return show(cell, 'idle', took);
            // The usual reason why a name is not found.
            const hint = !lost && cells.slice(0, cell.index).some(above => !above.ran);
            show(cell, 'failed',
                `${lost ? 'ended' : 'failed'} after ${took}${hint ? '; cells above have not run' : ''}`);
        }
    }

    function gone(why) {
        const again = cells.filter(cell => cell.ran);
        for (const cell of again) {
            cell.ran = false;
            if (cell.state === 'idle') show(cell, 'idle', 'variables gone');
        }
        const last = again.findLast(cell => cell.state === 'idle');
        const text = why.charAt(0).toUpperCase() + why.slice(1) + '.';
        bar.say(text, 'gone', last && (() => cells.slice(0, last.index + 1).forEach(run)));
    }

    function run(cell) {
        send({ run: { cell: cell.id, code: cell.editor.text(), source: cell.source } });
    }

    // The cell

    function equip(cell) {
        const number = cell.index + 1;
        const line = document.createElement('div');
        line.className = 'cell-bar';
        const button = (name, label, act) => {
            const made = document.createElement('button');
            made.type = 'button';
            made.textContent = name;
            made.setAttribute('aria-label', label);
            made.title = label;
            made.addEventListener('click', act);
            line.append(made);
            return made;
        };
        cell.run = button('Run', `Run cell ${number}`, () => {
            if (cell.state === 'running') send({ interrupt: {} });
            else run(cell);
        });
        cell.run.className = 'cell-run';
        if (cell.index > 0) {
            button('Run all above', `Run all cells above cell ${number}`, () => {
                cells.slice(0, cell.index).forEach(run);
            });
        }
        button('Reset', 'Reset: forget the variables of this page', () => send({ reset: {} }));
        cell.restore = button('Restore', `Restore the code of cell ${number}`, () => {
            cell.editor.write(cell.original);
            cell.editor.mark([]);
            edited(cell);
        });
        cell.restore.className = 'cell-restore';
        cell.status = document.createElement('span');
        cell.status.className = 'cell-status';
        line.append(cell.status);
        cell.outputs.before(line);
        cell.outputs.setAttribute('aria-live', 'polite');
        makeEditable(cell, number);
    }

    function show(cell, state, words) {
        cell.state = state;
        cell.element.dataset.state = state;
        cell.outputs.setAttribute('aria-busy', String(state === 'running'));
        const number = cell.index + 1;
        const isRunning = state === 'running';
        cell.run.textContent = isRunning ? 'Stop' : 'Run';
        cell.run.disabled = state === 'queued';
        cell.run.title = isRunning ? `Stop cell ${number}; its variables are lost` : `Run cell ${number}`;
        cell.run.setAttribute('aria-label', cell.run.title);
        cell.status.textContent = words;
        tell();
    }

    /** The engine's state, for the bar. */
    function tell() {
        const running = cells.find(cell => cell.state === 'running');
        if (!socket || socket.readyState !== WebSocket.OPEN) bar.show('away', 'no engine');
        else if (running) bar.show('running', `running cell ${running.index + 1}`);
        else if (preparing) bar.show('starting', preparing);
        else bar.show('ready', 'ready');
    }

    setInterval(() => {
        for (const cell of cells) {
            if (cell.state !== 'running') continue;
            cell.status.textContent = `running, ${Math.round((performance.now() - cell.began) / 1000)} s`;
        }
    }, 1000);

    function enable(isOn) {
        for (const button of document.querySelectorAll('.cell-bar button:not(.cell-restore)')) {
            button.disabled = !isOn;
        }
    }

    // The editor

    function makeEditable(cell, number) {
        cell.editor = cellEditor.make(cell.code, {
            label: `Code of cell ${number}; Tab completes, Escape leaves it`,
            ask: ask.bind(null, cell),
            say: words => {
                if (cell.state === 'idle' || cell.state === 'failed') cell.status.textContent = words;
            },
            onInput: () => edited(cell),
            onKey: event => key(cell, event),
        });
        let saved = null;
        try {
            saved = localStorage.getItem(cell.key);
        } catch { /* a browser that keeps nothing */ }
        if (saved !== null) cell.editor.write(saved);
        edited(cell);
    }

    function edited(cell) {
        const isEdited = cell.editor.text().trimEnd() !== cell.original.trimEnd();
        cell.element.toggleAttribute('data-edited', isEdited);
        cell.restore.hidden = !isEdited;
        try {
            if (isEdited) localStorage.setItem(cell.key, cell.code.textContent);
            else localStorage.removeItem(cell.key);
        } catch { /* as above */ }
    }

    /** Keys that are not the editor's own; true where it was one. */
    function key(cell, event) {
        if (event.key === 'Enter' && (event.shiftKey || event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            if (cell.state === 'idle' || cell.state === 'failed') run(cell);
            // A folded solution is passed over.
            const isOpen = other => other.element.getClientRects().length > 0;
            const next = event.shiftKey && cells.slice(cell.index + 1).find(isOpen);
            if (next) {
                next.code.focus({ preventScroll: true });
                next.element.scrollIntoView({ block: 'nearest' });
            }
            return true;
        }
        if (event.key !== 'Escape') return false;
        cell.code.blur();
        cell.run.focus();
        return true;
    }

    // What the kernel knows about a place in a cell

    /** A promise of the answer; of nothing where none comes. */
    function ask(cell, kind, code, position) {
        // A pointer that passes by starts no kernel.
        const isAtWork = cells.some(other => other.ran || other.code === document.activeElement);
        if (kind === 'inspect' && !isAtWork) return Promise.resolve(null);
        asked += 1;
        const number = asked;
        send({ [kind]: { ask: number, code, position } });
        return new Promise(resolve => {
            const end = answer => {
                waiting.delete(number);
                clearTimeout(timer);
                resolve(answer);
            };
            const timer = setTimeout(end, PATIENCE, null);
            waiting.set(number, end);
        });
    }

    connect();
})();
