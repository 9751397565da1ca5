// Python and Rust as tabs, in the static book that `cargo book build` made.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { launch } from './browser.mjs';
import { root } from './server.mjs';

const address = chapter => pathToFileURL(path.join(root, 'book/book', chapter)).href;
let chromium;

before(async () => {
    const [program, ...words] = (process.env.CARGO_BOOK ?? 'cargo book').split(' ');
    execFileSync(program, [...words, 'build'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    chromium = await launch();
    chromium.context.setDefaultTimeout(20_000);
});

after(() => chromium?.end());

test('a language is chosen by click and by key, for all chapters; a link to the cell shows it', async () => {
    const page = await chromium.context.newPage();
    await page.goto(address('conv2d/stride.html'));
    const tabs = page.locator('.tabs').first();
    const [python, cell] = [tabs.locator('.language-python'), tabs.locator('.cell')];
    assert.deepEqual([await python.isVisible(), await cell.isVisible()], [true, false]);
    await page.goto(`${address('conv2d/stride.html')}#${await cell.getAttribute('id')}`);
    await page.reload();
    assert.deepEqual([await python.isVisible(), await cell.isVisible()], [false, true]);
    await page.goto(address('conv2d/padding.html'));
    await page.getByRole('tab', { name: 'PyTorch' }).first().focus();
    await page.keyboard.press('ArrowRight');
    assert.match(page.url(), /padding/);
    assert.deepEqual([await python.isVisible(), await cell.isVisible()], [false, true]);
    await page.goto(address('max_pool2d/ceil_mode.html'));
    assert.deepEqual([await python.isVisible(), await cell.isVisible()], [false, true]);
    await page.emulateMedia({ media: 'print' });
    assert.deepEqual([await python.isVisible(), await cell.isVisible()], [true, true]);
});
