// A reader in a real browser: runs cells, breaks one, repairs it, stops a loop.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { launch } from './browser.mjs';
import { ask, root, serve } from './server.mjs';

// The first cell may wait for the kernel's own build.
const PATIENCE = 15 * 60 * 1000;
// A cell after that, and all cells above it.
const SOON = 60 * 1000;

let server;
let chromium;
let browser;
const errors = [];

before(async () => {
    server = await serve();
    chromium = await launch();
    browser = chromium.context;
    browser.setDefaultTimeout(PATIENCE);
    const first = await browser.newPage();
    await first.goto(server.address.href);
    await first.close();
}, { timeout: PATIENCE });

after(async () => {
    await chromium?.end();
    await server?.end();
});

async function open(chapter) {
    const page = await browser.newPage();
    page.on('pageerror', error => errors.push(error.message));
    await page.goto(new URL(`/${chapter}.html`, server.address).href);
    await page.locator('.cell-run').first().waitFor();
    return page;
}

/** The first cell with this code, whatever it says later. */
async function cellWith(page, code) {
    const id = await page.locator('.cell', { hasText: code }).first().getAttribute('id');
    return page.locator(`#${id}`);
}

const button = (cell, name) => cell.getByText(name, { exact: true });
const state = (cell, wanted) => cell.and(cell.page().locator(`[data-state="${wanted}"]`)).waitFor();
const outputs = cell => cell.locator('.cell-outputs').innerText();

async function write(cell, code) {
    await cell.locator('.cell-code').click();
    await cell.page().keyboard.press('Control+A');
    await cell.page().keyboard.insertText(code);
}

/** Runs a cell as it stands and waits for its end. */
async function run(cell, wanted = 'idle') {
    await button(cell, 'Run').click();
    await cell.and(cell.page().locator('[data-state="running"], [data-state="queued"]')).waitFor();
    await cell.and(cell.page().locator('[data-state="idle"], [data-state="failed"]')).waitFor();
    assert.equal(await cell.getAttribute('data-state'), wanted, await outputs(cell));
}

/** Everything above it, then the cell itself. */
async function runWithAllAbove(cell) {
    await button(cell, 'Run all above').click();
    await button(cell, 'Run').click();
    await cell.and(cell.page().locator('[data-state="queued"], [data-state="running"]')).waitFor();
    await cell.and(cell.page().locator('[data-state="idle"], [data-state="failed"]')).waitFor();
    assert.equal(await cell.getAttribute('data-state'), 'idle', await outputs(cell));
}

test('only the printed address opens the book', async () => {
    const { origin, host, href } = server.address;
    assert.equal((await ask(origin, {})).status, 403);
    assert.match((await ask(origin, {})).text, /the address that `cargo book` printed/);
    assert.equal((await ask(`${origin}/?token=0`, {})).status, 403);
    assert.equal((await ask(href, { Host: 'evil.example' })).status, 403);
    assert.equal((await ask(href, { Host: host, Origin: 'http://evil.example' })).status, 403);
    assert.equal((await ask(href, { Host: host })).status, 303);
});

test('the static book has its code and no buttons', async () => {
    const page = await browser.newPage();
    await page.goto(pathToFileURL(path.join(root, 'book/book/conv2d/stride.html')).href);
    assert.ok(await page.locator('.cell-code').count() > 5);
    assert.equal(await page.locator('.cell button.cell-run').count(), 0);
    await page.close();
});

test('a plot under a cell, a compile error, and the cell right again', async () => {
    const page = await open('conv2d/stride');
    await page.locator('.explorer[data-state="ready"]').waitFor();
    const cell = await cellWith(page, 'plot::maps');
    await runWithAllAbove(cell);
    assert.equal(await cell.locator('.cell-outputs svg').count(), 1);
    browser.setDefaultTimeout(SOON);

    await write(cell, 'let sum: String = 1u8;');
    await page.keyboard.press('Control+Enter');
    await state(cell, 'failed');
    assert.match(await outputs(cell), /E0308[\s\S]*mismatched types/);
    assert.equal(await cell.locator('.cell-outputs svg').count(), 0);

    await page.reload();
    await page.locator('.cell-run').first().waitFor();
    assert.equal(await cell.locator('.cell-code').innerText(), 'let sum: String = 1u8;', 'an edit survives');
    await page.getByText('mismatched types').first().waitFor();
    await button(cell, 'Restore').click();
    await run(cell);
    assert.equal(await cell.locator('.cell-outputs svg').count(), 1);
    await page.close();
});

test('a panic keeps the variables; a loop is stopped while another page works', async () => {
    const page = await open('conv2d/stride');
    const cell = page.locator('.cell').first();
    await write(cell, 'let kept = 41;');
    await run(cell);
    await write(cell, 'panic!("on purpose");');
    await run(cell, 'failed');
    assert.match(await outputs(cell), /on purpose/);
    await write(cell, 'println!("{}", kept + 1);');
    await run(cell);
    assert.equal((await outputs(cell)).trim(), '42');

    await write(cell, 'loop { std::hint::black_box(0); }');
    await button(cell, 'Run').click();
    await state(cell, 'running');
    await page.locator('.live-engine', { hasText: 'running cell 1' }).waitFor();
    const other = await open('data/mnist');
    const there = other.locator('.cell').first();
    await write(there, 'println!("{}", 6 * 7);');
    await run(there);
    assert.equal((await outputs(there)).trim(), '42');
    await other.close();

    await button(cell, 'Stop').click();
    await state(cell, 'failed');
    await page.locator('#live-status', { hasText: 'variables are gone' }).waitFor();
    await write(cell, 'println!("{}", kept);');
    await run(cell, 'failed');
    assert.match(await outputs(cell), /E0425/);
    await button(cell, 'Restore').click();
    await run(cell);
    await page.locator('.live-engine', { hasText: 'ready' }).waitFor();
    await page.close();
});

test('a picture is redrawn in its place, and another page that opens meanwhile has it too', async () => {
    const page = await open('conv2d/stride');
    const cell = page.locator('.cell').first();
    await write(cell, `use candlelight::prelude::*;
let mut live = LiveFigure::new();
for end in 1..=12 {
    live.show(&plot::bars(&format!("picture {end}"), "", "", &[("a", f64::from(end))])?);
    println!("\\rafter {end}");
    std::thread::sleep(std::time::Duration::from_millis(250));
}`);
    await button(cell, 'Run').click();
    const shown = cell.locator('.cell-outputs');
    const seen = new Set();
    for (const least of [3, 6]) {
        let number = 0;
        while (number < least) {
            await page.waitForTimeout(50);
            number = Number(/after (\d+)/.exec(await shown.innerText())?.[1] ?? 0);
        }
        seen.add(await shown.locator('svg').textContent());
        assert.equal(await shown.locator('> *').count(), 2, 'a picture and a line');
    }
    assert.equal(seen.size, 2, 'they change');
    const other = await open('conv2d/stride');
    const there = other.locator('.cell').first().locator('.cell-outputs');
    await state(cell, 'idle');
    for (const place of [shown, there]) {
        await place.getByText('picture 12').waitFor();
        await place.getByText('after 12').waitFor();
        assert.equal(await place.locator('> *').count(), 2);
    }
    await other.close();
    await page.close();
});

test('the editor completes, tells what a name is, and underlines what is wrong', async () => {
    const page = await open('conv2d/stride');
    const cell = page.locator('.cell').first();
    const code = async () => (await cell.locator('.cell-code').textContent()).trimEnd();
    const [popup, tip] = [page.locator('#cell-popup'), page.locator('#cell-tip')];
    const options = popup.locator('[role=option]');
    await write(cell, 'use candlelight::prelude::*;\nlet number = 41u8;');
    await run(cell);

    await write(cell, 'number.count_');
    await page.keyboard.press('Tab');
    await options.first().waitFor();
    assert.deepEqual(await options.allTextContents(), ['count_ones()', 'count_zeros()']);
    await page.keyboard.press('ArrowDown');
    assert.equal(await popup.locator('[aria-selected=true]').textContent(), 'count_zeros()');
    await page.keyboard.press('Enter');
    assert.equal(await code(), 'number.count_zeros()');
    assert.ok(await popup.isHidden());

    await write(cell, 'let conv = Conv2d::builder(1, 2, 3).');
    await page.keyboard.press('Tab');
    await options.first().waitFor();
    await page.keyboard.type('stri');
    assert.deepEqual(await options.allTextContents(), ['stride(stride)']);
    await page.keyboard.press('Escape');
    assert.ok(await popup.isHidden());
    assert.ok(await cell.locator('.cell-code').evaluate(code => code === document.activeElement));

    await write(cell, 'let größe = 1;\nlet conv = Conv2d::builder(1, 2, 3).stride(2);\nlet text: String = größe;');
    await page.keyboard.press('Control+Enter');
    await state(cell, 'failed');
    const underlined = () => page.evaluate(() => [...CSS.highlights.get('cell-error')].map(String));
    assert.deepEqual(await underlined(), ['größe']);
    /** The pointer rests on a word of the cell, as often as it stands there. */
    const rest = async (word, which = 1) => {
        const [x, y] = await cell.locator('.cell-code').evaluate((code, [word, which]) => {
            const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const { data } = walker.currentNode;
                for (let at = data.indexOf(word); at >= 0; at = data.indexOf(word, at + 1)) {
                    which -= 1;
                    if (which > 0) continue;
                    const range = document.createRange();
                    range.setStart(walker.currentNode, at);
                    range.setEnd(walker.currentNode, at + word.length);
                    const { left, top, width, height } = range.getBoundingClientRect();
                    return [left + width / 2, top + height / 2];
                }
            }
            return [0, 0];
        }, [word, which]);
        await page.mouse.move(x, y);
    };
    await rest('stride');
    await tip.getByText('How far the filter moves').waitFor();
    await rest('größe', 2);
    await tip.getByText('expected `String`, found').waitFor();
    await page.mouse.move(5, 5);
    await tip.waitFor({ state: 'hidden' });
    await page.reload();
    await page.locator('.cell-run').first().waitFor();
    await page.getByText('mismatched types').first().waitFor();
    assert.deepEqual(await underlined(), ['größe'], 'underlined also after the page was loaded again');
    await cell.locator('.cell-code').press('End');
    await page.keyboard.type(' ');
    assert.deepEqual(await underlined(), [], 'until the next edit');
    await button(cell, 'Restore').click();
    await page.close();
});

test('the keyboard: run and move on, four spaces, leave', async () => {
    const page = await open('conv2d/stride');
    const [first, second] = [page.locator('.cell').nth(0), page.locator('.cell').nth(1)];
    await write(first, 'let a = 1;');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.type('a');
    assert.equal((await first.locator('.cell-code').textContent()).trimEnd(), 'let a = 1;\n    a');
    await page.keyboard.press('Shift+Enter');
    await state(first, 'idle');
    assert.ok(await second.locator('.cell-code').evaluate(code => code === document.activeElement));
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Run');
    assert.match(page.url(), /stride/);
    await button(first, 'Restore').click();
    await page.close();
});

test('no script failed, and the server ends when asked', async () => {
    assert.deepEqual(errors, []);
    const page = await open('conv2d/stride');
    assert.equal(await server.end(), 0);
    await page.locator('#live-status', { hasText: 'No connection' }).waitFor();
    assert.ok(await page.locator('.cell-run').first().isDisabled());
});
