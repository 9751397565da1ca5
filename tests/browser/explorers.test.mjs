// The explorers in a real browser, from files, without a server; and with the keyboard alone.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { launch } from './browser.mjs';
import { root } from './server.mjs';

const folder = path.join(root, 'book/book');
let chromium;
const errors = [];

before(async () => {
    const [program, ...words] = (process.env.CARGO_BOOK ?? 'cargo book').split(' ');
    execFileSync(program, [...words, 'build'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    chromium = await launch();
    chromium.context.setDefaultTimeout(20_000);
});

after(async () => {
    await chromium?.end();
});

/** The first explorer of a chapter, once it stands. */
async function explorer(chapter) {
    const page = await chromium.context.newPage();
    page.on('pageerror', error => errors.push(`${chapter}: ${error.message}`));
    await page.goto(pathToFileURL(path.join(folder, `${chapter}.html`)).href);
    const place = page.locator('.explorer').first();
    await place.and(page.locator('[data-state]')).waitFor();
    assert.equal(await place.getAttribute('data-state'), 'ready', `${chapter}: ${await place.innerText()}`);
    return place;
}

const facts = place => place.locator('.explorer-facts').first();
const sum = place => place.locator('.explorer-sum');

/** Moves a slider by the keyboard. */
async function press(place, label, key, times = 1) {
    await place.getByLabel(label, { exact: true }).focus();
    for (let i = 0; i < times; i += 1) await place.page().keyboard.press(key);
}

test('a convolution: sliders by keyboard, a window, the gradient, an error in words', async () => {
    const place = await explorer('conv2d/stride');
    assert.match(await facts(place).innerText(), /⌊\(7 \+ 2·0 − 1·\(3 − 1\) − 1\) \/ 2⌋ \+ 1 = 3/);
    assert.match(await place.locator('.language-rust').innerText(), /\.stride\(2\)/);
    await press(place, 'stride', 'ArrowLeft');
    assert.match(await facts(place).innerText(), /\/ 1⌋ \+ 1 = 5/);
    assert.match(await place.locator('.language-python').innerText(), /^conv = nn\.Conv2d\(1, 1, 3\)$/);
    // An output's window, pointed at by arrow keys.
    const output = place.getByRole('application', { name: 'output' });
    await output.focus();
    await place.page().keyboard.press('ArrowDown');
    assert.match(await sum(place).innerText(), /^output\[0, 1, 0\] = /);
    assert.equal(await place.locator('.explorer-maps').first().locator('.explorer-marks rect').count(), 9);
    await place.getByLabel('show', { exact: true }).selectOption('gradient');
    assert.match(await place.locator('.explorer-caption').first().innerText(), /∂ output/);
    // A kernel that is larger than its input.
    await press(place, 'size of the input', 'Home');
    await press(place, 'kernel_size', 'End');
    assert.match(await place.getByRole('alert').innerText(), /Conv2d/);
    await press(place, 'kernel_size', 'Home');
    assert.equal(await place.getByRole('alert').count(), 0);
});

test('an explorer is there within 0.2 s of its page', async () => {
    const place = await explorer('conv2d/padding');
    const times = [];
    for (let i = 0; i < 5; i += 1) {
        await place.page().reload();
        await place.and(place.page().locator('[data-state="ready"]')).waitFor();
        times.push(await place.page().evaluate(() => {
            const [{ domInteractive }] = performance.getEntriesByType('navigation');
            return performance.getEntriesByName('explorer')[0].startTime - domInteractive;
        }));
    }
    times.sort((a, b) => a - b);
    console.log(`# ready after ${times.map(Math.round).join(', ')} ms`);
    // Four times the target: others may use this machine.
    assert.ok(times[2] < 800, `${times}`);
});

test('max pooling: indices, and where the gradient goes', async () => {
    const place = await explorer('max_pool2d/return_indices');
    assert.match(await sum(place).innerText(), /output\[0, 0, 0\] = max\(.*\) = \d, index \d+ = row \d+ · 6 \+ column \d+/);
    await press(place, 'kernel_size', 'ArrowRight');
    assert.match(await place.locator('.language-rust').innerText(), /MaxPool2d::builder\(3\)/);
});

test('cross-entropy: the loss is −ln of the probability', async () => {
    const place = await explorer('loss/cross_entropy');
    const line = await sum(place).innerText();
    assert.match(line, /^loss = −ln 0\.7\d+ = 0\.\d+$/);
    await press(place, 'logit of 0', 'ArrowLeft', 20);
    assert.notEqual(await sum(place).innerText(), line);
    const cells = await place.locator('tbody td:nth-of-type(2)').allInnerTexts();
    const total = cells.map(Number).reduce((all, one) => all + one, 0);
    assert.ok(Math.abs(total - 1) < 1e-3, `${cells}`);
});

test('descents: a start by click and by key, a path that is kept', async () => {
    const place = await explorer('optim/momentum');
    const surface = place.getByRole('application');
    const line = await sum(place).innerText();
    await surface.click({ position: { x: 100, y: 100 } });
    assert.notEqual(await sum(place).innerText(), line);
    await surface.focus();
    await place.page().keyboard.press('ArrowUp');
    await place.getByText('Keep this path').click();
    assert.equal(await surface.locator('polyline').count(), 2);
    await place.getByLabel('optimizer', { exact: true }).selectOption('adam');
    assert.match(await place.locator('.language-rust').innerText(), /Adam::builder/);
});

test('a digit drawn by pointer and by keyboard is named', async () => {
    const place = await explorer('training/draw');
    assert.match(await sum(place).innerText(), /The net says 3/);
    for (const digit of ['0', '7']) {
        await place.getByLabel('a test image').selectOption(digit);
        assert.match(await sum(place).innerText(), new RegExp(`The net says ${digit}`));
    }
    const paper = place.getByRole('application', { name: 'paper' });
    const { mouse, keyboard } = place.page();
    const says = wanted => place.getByText(`The net says ${wanted}`).waitFor();
    const box = async () => {
        await paper.scrollIntoViewIfNeeded();
        return paper.boundingBox();
    };
    await place.getByText('Clear', { exact: true }).click();
    assert.match(await sum(place).innerText(), /Nothing is drawn/);
    // A seven.
    const { x, y, width } = await box();
    const to = ([right, down]) => mouse.move(x + right * width, y + down * width, { steps: 8 });
    await to([0.25, 0.2]);
    await mouse.down();
    for (const point of [[0.75, 0.2], [0.45, 0.85]]) await to(point);
    await mouse.up();
    await says(7);
    // A one, from the middle up and down.
    await place.getByText('Clear', { exact: true }).click();
    await paper.focus();
    for (let i = 0; i < 12; i += 1) await keyboard.press('ArrowUp');
    for (let i = 0; i < 24; i += 1) await keyboard.press('Shift+ArrowDown');
    await says(1);
});

test('training in the page reaches nine of ten', async () => {
    const place = await explorer('training/loop');
    await place.getByText('Train', { exact: true }).click();
    // Ten epochs; the page stays quick to the touch meanwhile.
    await place.getByText(/^(1\d|20)\.\d of 20 epochs|, (1\d|20)\.\d of 20 epochs$/).waitFor({ timeout: 180_000 });
    await place.getByText('Stop', { exact: true }).click();
    const found = await place.locator('.explorer-facts').first().innerText();
    const accuracy = Number(found.match(/([\d.]+) % of the test images/)[1]);
    assert.ok(accuracy > 90, found);
    await place.getByText('Keep this curve').click();
    assert.equal(await place.locator('polyline').count(), 2);
});

test('every explorer of every chapter stands, and none broke', async () => {
    const files = (await readdir(folder, { recursive: true })).filter(name => name.endsWith('.html'));
    let places = 0;
    for (const file of files) {
        const html = await readFile(path.join(folder, file), 'utf8');
        if (!html.includes('class="explorer"') || file === 'print.html' || file === 'index.html') continue;
        const place = await explorer(file.replace(/\.html$/, ''));
        places += 1;
        await place.page().close();
    }
    assert.ok(places > 20, `${places}`);
    assert.deepEqual(errors, []);
});

test('without JavaScript a line says what would be there', async () => {
    const { context, end } = await launch({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(pathToFileURL(path.join(folder, 'conv2d/stride.html')).href);
    assert.match(await page.locator('.explorer').innerText(), /With JavaScript/);
    await end();
});
