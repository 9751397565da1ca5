// The same lines in Python and in Rust, one behind the other: where a cell follows Python, both become tabs. Without
// JavaScript, and on paper, one stands below the other.

(() => {
    'use strict';

    const KEPT = 'candlelight-language';
    const NAMES = ['PyTorch', 'Rust'];
    const all = [];

    function make(python, cell, number) {
        const panels = [python, cell];
        const box = document.createElement('div');
        box.className = 'tabs';
        const list = document.createElement('div');
        list.setAttribute('role', 'tablist');
        list.setAttribute('aria-label', 'language');
        python.before(box);
        box.append(list, ...panels);
        const tabs = NAMES.map((name, i) => {
            const tab = document.createElement('button');
            tab.type = 'button';
            tab.id = `tab-${number}-${i}`;
            tab.textContent = name;
            tab.setAttribute('role', 'tab');
            panels[i].id ||= `panel-${number}-${i}`;
            panels[i].setAttribute('role', 'tabpanel');
            panels[i].setAttribute('aria-labelledby', tab.id);
            tab.setAttribute('aria-controls', panels[i].id);
            tab.addEventListener('click', () => choose(i));
            tab.addEventListener('keydown', event => {
                if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
                // mdBook would turn the page.
                event.preventDefault();
                event.stopPropagation();
                choose(1 - i);
                tabs[1 - i].focus();
            });
            list.append(tab);
            return tab;
        });
        return shown => tabs.forEach((tab, i) => {
            tab.setAttribute('aria-selected', i === shown);
            tab.tabIndex = i === shown ? 0 : -1;
            panels[i].classList.toggle('tab-away', i !== shown);
        });
    }

    /** In every pair of the page, and from now on. */
    function choose(shown) {
        for (const show of all) show(shown);
        try {
            localStorage.setItem(KEPT, NAMES[shown]);
        } catch { /* A browser that keeps nothing. */ }
    }

    document.querySelectorAll('main pre > code.language-python').forEach(code => {
        const python = code.parentElement;
        const cell = python.nextElementSibling;
        if (cell?.classList.contains('cell')) all.push(make(python, cell, all.length));
    });
    let kept;
    try {
        kept = localStorage.getItem(KEPT);
    } catch { /* As above. */ }
    // A link to a cell shows it.
    const linked = location.hash.length > 1 && document.getElementById(location.hash.slice(1))?.closest('.tabs .cell');
    for (const show of all) show(linked || kept === 'Rust' ? 1 : 0);
})();
