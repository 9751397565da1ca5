// Makes docs/page.png, the README's picture: a cell that has just run, in the page, with its plot.

import path from 'node:path';

import { launch } from './browser.mjs';
import { root, serve } from './server.mjs';

const server = await serve();
const browser = await launch({ viewport: { width: 1000, height: 760 }, deviceScaleFactor: 1.5 });
try {
    browser.context.setDefaultTimeout(15 * 60 * 1000);
    const page = await browser.context.newPage();
    await page.goto(server.address.href);
    await page.goto(new URL('/conv2d/stride.html', server.address).href);
    await page.locator('.cell-run').first().waitFor();
    const cell = page.locator('.cell', { hasText: 'plot::maps' });
    await cell.getByText('Run all above', { exact: true }).click();
    await cell.locator('.cell-run').click();
    await page.locator(`#${await cell.getAttribute('id')}[data-state="idle"] .cell-status:text-matches(" s$")`).waitFor();
    await page.locator('#one-digit-five-strides').scrollIntoViewIfNeeded();
    await page.evaluate(() => document.querySelector('#one-digit-five-strides').scrollIntoView());
    await page.screenshot({ path: path.join(root, 'docs/page.png') });
} finally {
    await browser.end();
    await server.end();
}
