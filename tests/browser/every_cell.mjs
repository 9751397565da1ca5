// Reads the book as a reader does: each chapter (or those named) from the top in a live page, every Run pressed in
// turn. It compares what each cell shows with what is stored in the page, and keeps a picture of each page below
// target/reading. About 20 minutes; by hand: CARGO_BOOK=target/book/bookbinder node tests/browser/every_cell.mjs

import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';

import { launch } from './browser.mjs';
import { root, serve } from './server.mjs';

const PATIENCE = 15 * 60 * 1000;

const named = process.argv.slice(2);
const chapters = named.length > 0 ? named : await all();
const pictures = path.join(root, 'target/reading');
await mkdir(pictures, { recursive: true });

const server = await serve();
const chromium = await launch();
chromium.context.setDefaultTimeout(PATIENCE);
// The printed address lets the browser in.
const first = await chromium.context.newPage();
await first.goto(server.address.href);
await first.close();
let wrong = 0;
for (const chapter of chapters) {
    wrong += await read(chapter);
}
await chromium.end();
await server.end();
console.log(`${chapters.length} chapters, ${wrong} cells that differ`);
process.exitCode = wrong === 0 ? 0 : 1;

/** The chapters that the book was built from. */
async function all() {
    const files = await readdir(path.join(root, 'book/src'), { recursive: true });
    return files
        .filter(file => file.endsWith('.md') && file !== 'SUMMARY.md')
        .map(file => file.replace(/\.md$/, '').replaceAll(path.sep, '/'))
        .sort();
}

/** How many of a chapter's cells differ from what is stored. */
async function read(chapter) {
    const page = await chromium.context.newPage();
    const errors = [];
    page.on('pageerror', error => errors.push(error.message));
    page.on('console', message => message.type() === 'error' && errors.push(message.text()));
    await page.goto(new URL(`/${chapter}.html`, server.address.href).href);
    // The solutions of exercises are folded away.
    await page.evaluate(() => document.querySelectorAll('details').forEach(part => { part.open = true; }));
    // And of Python beside Rust only one is seen.
    for (const tab of await page.getByRole('tab', { name: 'Rust' }).all()) {
        await tab.click();
    }
    const cells = page.locator('.cell[data-cell]');
    const count = await cells.count();
    const start = Date.now();
    let differ = 0;
    for (let index = 0; index < count; index += 1) {
        const cell = cells.nth(index);
        const stored = await shown(cell);
        await cell.locator('.cell-run').click();
        await cell.and(page.locator('[data-state="idle"], [data-state="failed"]')).waitFor();
        const now = await shown(cell);
        const same = withoutNumbers(now.text) === withoutNumbers(stored.text) && now.plots === stored.plots;
        if (!same) {
            differ += 1;
            console.log(`${chapter}, cell ${index + 1}: stored ${JSON.stringify(stored)}\n    now ${JSON.stringify(now)}`);
        } else if (now.text !== stored.text) {
            const [was, is] = firstDifference(stored.text, now.text);
            console.log(`${chapter}, cell ${index + 1}: other numbers: ${was} | ${is}`);
        }
    }
    await page.screenshot({ path: path.join(pictures, `${chapter.replaceAll('/', '-')}.png`), fullPage: true });
    const seconds = ((Date.now() - start) / 1000).toFixed(1);
    console.log(`${chapter}: ${count} cells, ${differ} differ, ${seconds} s${errors.map(e => `\n    page: ${e}`).join('')}`);
    await page.close();
    return differ + errors.length;
}

async function shown(cell) {
    const outputs = cell.locator('.cell-outputs');
    const text = await outputs.evaluate(element => {
        const copy = element.cloneNode(true);
        copy.querySelectorAll('svg').forEach(plot => plot.remove());
        return copy.textContent.trim();
    });
    return { text, plots: await outputs.locator('svg, img').count() };
}

/** What was measured is another number at each run, in another unit perhaps. */
function withoutNumbers(text) {
    return text.replace(/\s*[\d.,]+( ?(ns|µs|ms|s)\b)?/g, '#');
}

function firstDifference(stored, now) {
    const [left, right] = [stored.split('\n'), now.split('\n')];
    const at = left.findIndex((line, i) => line !== right[i]);
    return [left[at], right[at]];
}
