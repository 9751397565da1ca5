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
