// The editor of a cell: text that mdBook's highlighter colours, and what the kernel knows about it.
const cellEditor = (() => {
    'use strict';
    const NAME = /[\p{L}\p{N}_]/u;
    const BEFORE_COMPLETION = /[\p{L}\p{N}_.:]$/u;
    // How long the pointer rests on a name before the page asks what it is.
    const REST = 450;
    const encoder = new TextEncoder();
    const decoder = new TextDecoder();
    const bytes = (text, end) => encoder.encode(text.slice(0, end)).length;
    const characters = (text, end) => decoder.decode(encoder.encode(text).slice(0, end)).length;
    const underlined = 'highlights' in CSS ? new Highlight() : null;
    if (underlined) CSS.highlights.set('cell-error', underlined);
    const popup = float('cell-popup', 'listbox');
    const tip = float('cell-tip', 'tooltip');
    // The editor whose completions are shown, with what it would replace.
    let open = null;

    // Places in the text

    /** The range between two places, counted in UTF-16 as strings are. */
    function range(code, start, end) {
        const made = document.createRange();
        const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
        made.selectNodeContents(code);
        let [before, isBegun] = [0, false];
        while (walker.nextNode()) {
            const { length } = walker.currentNode.data;
            if (!isBegun && start <= before + length) {
                made.setStart(walker.currentNode, start - before);
                isBegun = true;
            }
            if (end <= before + length) {
                made.setEnd(walker.currentNode, end - before);
                break;
            }
            before += length;
        }
        return made;
    }

    function place(code, node, offset) {
        if (!node || !code.contains(node)) return null;
        const before = document.createRange();
        before.setStart(code, 0);
        before.setEnd(node, offset);
        return before.toString().length;
    }

    function caret(code) {
        const selection = getSelection();
        return place(code, selection.focusNode, selection.focusOffset);
    }

    /** The place in UTF-16 of a line and a column, both from 1, columns in characters. */
    function offset(text, [line, column]) {
        const lines = text.split('\n').slice(0, line);
        const last = Array.from(lines.pop() ?? '').slice(0, column - 1).join('');
        return lines.reduce((sum, before) => sum + before.length + 1, 0) + last.length;
    }

    function replace(code, start, end, text) {
        getSelection().removeAllRanges();
        getSelection().addRange(range(code, start, end));
        document.execCommand('insertText', false, text);
    }

    // What floats above the page

    function float(id, role) {
        const element = document.createElement('div');
        element.id = id;
        element.setAttribute('role', role);
        element.hidden = true;
        return element;
    }

    function showAt(element, box) {
        document.body.append(element);
        element.hidden = false;
        const { width, height } = element.getBoundingClientRect();
        const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - width - 8));
        const isBelow = box.bottom + height + 8 < innerHeight || box.top < height + 8;
        const top = isBelow ? box.bottom + 4 : box.top - height - 4;
        element.style.left = `${left + scrollX}px`;
        element.style.top = `${top + scrollY}px`;
    }

    function close() {
        if (!open) return;
        open.code.removeAttribute('aria-activedescendant');
        open.code.setAttribute('aria-expanded', 'false');
        open = null;
        popup.hidden = true;
    }

    function list() {
        popup.replaceChildren(...open.fits.map((match, index) => {
            const line = document.createElement('div');
            line.id = `cell-match-${index}`;
            line.setAttribute('role', 'option');
            line.textContent = match;
            line.addEventListener('mousedown', event => {
                event.preventDefault();
                choose(index);
                accept();
            });
            return line;
        }));
        showAt(popup, range(open.code, open.start, open.start).getBoundingClientRect());
        open.code.setAttribute('aria-expanded', 'true');
        choose(0);
    }

    function choose(index) {
        open.chosen = (index + open.fits.length) % open.fits.length;
        for (const [i, line] of [...popup.children].entries()) {
            line.setAttribute('aria-selected', String(i === open.chosen));
            if (i === open.chosen) line.scrollIntoView({ block: 'nearest' });
        }
        open.code.setAttribute('aria-activedescendant', `cell-match-${open.chosen}`);
    }

    function accept() {
        const { code, start, end, fits, chosen } = open;
        close();
        replace(code, start, end, fits[chosen]);
    }

    /** While the reader types on, those that still fit. */
    function narrow() {
        const { code, start, all } = open;
        const end = caret(code);
        const typed = code.textContent.slice(start, end ?? start).toLowerCase();
        const fits = all.filter(match => match.toLowerCase().startsWith(typed));
        if (end === null || end < start || fits.length === 0 || (fits.length === 1 && fits[0].toLowerCase() === typed)) {
            return close();
        }
        Object.assign(open, { end, fits });
        list();
    }

    /** What rust-analyzer tells: the path and the signature; after two empty lines the first paragraph on it. */
    function describe(text) {
        const [code, ...about] = text.split(/\n{3,}/);
        const pre = document.createElement('pre');
        pre.textContent = code.replaceAll('\n\n', '\n').trim();
        const prose = document.createElement('p');
        prose.textContent = (about.at(-1) ?? '').trim().split('\n\n')[0];
        return prose.textContent === '' ? [pre] : [pre, prose];
    }

    function hideTip() {
        tip.hidden = true;
    }

    addEventListener('scroll', () => { close(); hideTip(); }, { passive: true });
    addEventListener('resize', () => { close(); hideTip(); });

    /**
     * Makes `code` editable. `ask(kind, text, position)` gives a promise of the kernel's answer, `say` shows a line,
     * `onInput` hears of edits, `onKey` gets keys first and answers whether it took them.
     */
    function make(code, { label, ask, say, onInput, onKey }) {
        let marks = [];
        let ranges = [];
        const attributes = {
            contenteditable: 'plaintext-only', role: 'textbox', 'aria-multiline': 'true', 'aria-label': label,
            'aria-autocomplete': 'list', 'aria-haspopup': 'listbox', 'aria-controls': popup.id,
            'aria-expanded': 'false', spellcheck: 'false', autocorrect: 'false', autocapitalize: 'off',
        };
        for (const [name, value] of Object.entries(attributes)) code.setAttribute(name, value);

        const plain = () => code.textContent.replaceAll('\u00a0', ' ');
        const text = () => plain().replace(/\n+$/, '\n');

        function write(source) {
            code.textContent = source;
            if (window.hljs) window.hljs.highlightBlock(code);
            paint();
        }

        function paint() {
            if (!underlined) return;
            for (const old of ranges) underlined.delete(old);
            const source = code.textContent;
            ranges = marks.map(mark => range(code, offset(source, mark.start), offset(source, mark.end)));
            for (const made of ranges) underlined.add(made);
        }

        /** Underlines where it went wrong, until the next edit. */
        function mark(found) {
            marks = found;
            paint();
        }

        async function complete() {
            const [source, at] = [plain(), caret(code)];
            if (at === null) return;
            say('asking the kernel');
            const found = await ask('complete', source, bytes(source, at));
            say('');
            if (plain() !== source || caret(code) !== at) return;
            if (!found || found.matches.length === 0) return say('no completion is known here');
            const [start, end] = [found.start, found.end].map(place => characters(source, place));
            const all = [...new Set(found.matches)];
            if (all.length === 1) return replace(code, start, end, all[0]);
            open = { code, start, end, all, fits: all, chosen: 0 };
            list();
        }

        async function inspect(at) {
            const wrong = marks.find(({ start, end }) =>
                offset(plain(), start) <= at && at <= offset(plain(), end));
            const box = range(code, at, at).getBoundingClientRect();
            if (wrong) {
                const words = document.createElement('p');
                words.textContent = wrong.message;
                tip.replaceChildren(words);
                return showAt(tip, box);
            }
            const source = plain();
            const found = await ask('inspect', source, bytes(source, at));
            if (plain() !== source || !found || found.text === '') return hideTip();
            tip.replaceChildren(...describe(found.text));
            showAt(tip, box);
        }

        function keyInPopup(event) {
            const steps = { ArrowDown: 1, ArrowUp: -1 };
            if (event.key in steps) choose(open.chosen + steps[event.key]);
            else if ((event.key === 'Enter' && !event.shiftKey && !event.ctrlKey) || event.key === 'Tab') accept();
            else if (event.key === 'Escape') close();
            else return false;
            event.preventDefault();
            return true;
        }

        code.addEventListener('input', () => {
            mark([]);
            if (open && open.code === code) narrow();
            onInput();
        });
        code.addEventListener('blur', () => {
            close();
            hideTip();
            write(code.textContent);
        });
        code.addEventListener('keydown', event => {
            // mdBook's own keys (arrows turn pages) are not for the editor.
            event.stopPropagation();
            if (event.isComposing) return;
            hideTip();
            if (open && open.code === code && keyInPopup(event)) return;
            if (onKey(event)) return;
            const before = () => code.textContent.slice(0, caret(code) ?? 0);
            if (event.key === 'Enter') {
                close();
                const line = before();
                const indent = /[ ]*/.exec(line.slice(line.lastIndexOf('\n') + 1))[0];
                if (indent === '') return;
                event.preventDefault();
                document.execCommand('insertLineBreak');
                document.execCommand('insertText', false, indent);
            } else if (event.key === 'Tab' && event.shiftKey) {
                event.preventDefault();
                inspect(caret(code) ?? 0);
            } else if (event.key === 'Tab' || (event.key === ' ' && event.ctrlKey)) {
                event.preventDefault();
                if (event.key === ' ' || (getSelection().isCollapsed && BEFORE_COMPLETION.test(before()))) complete();
                else document.execCommand('insertText', false, '    ');
            } else if (event.key.startsWith('Arrow')) {
                close();
            }
        });

        let resting = 0;
        code.addEventListener('mousemove', event => {
            clearTimeout(resting);
            const { clientX: x, clientY: y } = event;
            resting = setTimeout(() => {
                const at = under(code, x, y);
                if (at === null) hideTip();
                else inspect(at);
            }, REST);
        });
        code.addEventListener('mouseleave', () => {
            clearTimeout(resting);
            hideTip();
        });
        return { text, write, mark };
    }

    /** The place of the name under the pointer. */
    function under(code, x, y) {
        const found = document.caretPositionFromPoint?.(x, y);
        const old = found ? null : document.caretRangeFromPoint?.(x, y);
        const at = found ? place(code, found.offsetNode, found.offset)
            : old && place(code, old.startContainer, old.startOffset);
        if (at === null || at === undefined) return null;
        const text = code.textContent;
        // The nearest gap between two letters may be behind the one that is pointed at.
        const isOn = index => {
            if (!NAME.test(text[index] ?? '')) return false;
            const box = range(code, index, index + 1).getBoundingClientRect();
            return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
        };
        return [at, at - 1].find(isOn) ?? null;
    }

    return { make };
})();
