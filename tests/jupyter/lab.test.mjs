// A reader in JupyterLab; lab.sh sets where it is and which folder it shows.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';

import { launch } from '../browser/browser.mjs';
import { root } from '../browser/server.mjs';

// The first cell may wait for what cells depend on to be built.
const PATIENCE = 15 * 60 * 1000;
const SOON = 60 * 1000;
const folder = process.env.LAB_ROOT;
const kernelspec = { name: 'candlelight', display_name: 'Candlelight (Rust)', language: 'rust' };
const metadata = { kernelspec, language_info: { name: 'rust' } };

let lab;
let address;
let chromium;

before(async () => {
    const notebook = JSON.parse(await readFile(path.join(root, 'notebooks/conv2d-stride.ipynb'), 'utf8'));
    for (const cell of notebook.cells) if (cell.cell_type === 'code') Object.assign(cell, { outputs: [], execution_count: null });
    await writeFile(path.join(folder, 'stride.ipynb'), JSON.stringify({ ...notebook, metadata }));
    const cells = [{ cell_type: 'code', id: 'first', source: '', metadata: {}, outputs: [], execution_count: null }];
    await writeFile(path.join(folder, 'empty.ipynb'), JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 5 }));
    lab = spawn(process.env.LAB, [
        'lab', '--no-browser', '--ip=127.0.0.1', '--port=0', '--allow-root', '--ServerApp.port_retries=0',
        '--LabApp.news_url=', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate', `--ServerApp.root_dir=${folder}`,
    ], { stdio: ['ignore', 'ignore', 'pipe'] });
    const ended = once(lab, 'exit').then(([code]) => { throw new Error(`JupyterLab ended with ${code}`); });
    const found = new Promise(resolve => createInterface({ input: lab.stderr }).on('line', line => {
        const url = /http:\/\/127\.0\.0\.1:\d+\/lab\?token=\w+/.exec(line);
        if (url) resolve(new URL(url[0]));
    }));
    address = await Promise.race([found, ended]);
    ended.catch(() => {});
    chromium = await launch();
}, { timeout: PATIENCE });

after(async () => {
    await chromium?.end();
    if (!lab || lab.exitCode !== null) return;
    const gone = once(lab, 'exit');
    lab.kill('SIGTERM');
    await gone;
});

async function open(name) {
    const page = await chromium.context.newPage();
    page.setDefaultTimeout(SOON);
    await page.goto(new URL(`/lab/tree/${name}?reset&token=${address.searchParams.get('token')}`, address).href);
    await page.locator('.jp-Notebook .jp-Cell').first().waitFor();
    await page.locator('#jp-main-statusbar', { hasText: 'Candlelight (Rust) | Idle' }).waitFor({ timeout: PATIENCE });
    return page;
}

async function menu(page, name, item) {
    await page.locator('.lm-MenuBar-itemLabel', { hasText: new RegExp(`^${name}$`) }).click();
    await page.locator('.lm-Menu-itemLabel', { hasText: new RegExp(`^${item}`) }).first().click();
}

test('a whole notebook runs', { timeout: PATIENCE }, async () => {
    const page = await open('stride.ipynb');
    await menu(page, 'Run', 'Run All Cells$');
    let code;
    for (const end = Date.now() + 5 * SOON; Date.now() < end;) {
        await page.waitForTimeout(1000);
        await page.keyboard.press('Control+s');
        const text = await readFile(path.join(folder, 'stride.ipynb'), 'utf8');
        // It may be half written.
        if (!text.trimEnd().endsWith('}')) continue;
        code = JSON.parse(text).cells.filter(cell => cell.cell_type === 'code');
        if (code.some(cell => cell.outputs.some(output => output.output_type === 'error'))) break;
        if (code.every(cell => cell.execution_count !== null)) break;
    }
    const outputs = code.flatMap(cell => cell.outputs);
    assert.deepEqual(outputs.filter(output => output.output_type === 'error'), []);
    assert.deepEqual(code.map(cell => cell.execution_count), code.map((_, index) => index + 1));
    assert.ok(outputs.filter(output => output.data?.['image/svg+xml']).length >= 3);
    await page.close();
});

test('a name is completed, and a loop is interrupted', { timeout: PATIENCE }, async () => {
    const page = await open('empty.ipynb');
    const cells = page.locator('.jp-Notebook .jp-CodeCell');
    const editor = cells.last().locator('.cm-content');
    await editor.click();
    await page.keyboard.insertText('let number = 41u8;');
    await page.keyboard.press('Shift+Enter');
    await cells.first().locator('.jp-InputPrompt', { hasText: '[1]:' }).waitFor();
    await editor.click();
    await page.keyboard.insertText('number.count_o');
    await page.keyboard.press('Tab');
    await page.locator('.jp-Completer-item', { hasText: 'count_ones()' }).waitFor();
    await page.keyboard.press('Enter');
    await cells.last().locator('.cm-line', { hasText: 'number.count_ones()' }).waitFor();
    await page.keyboard.press('Shift+Enter');
    await page.locator('.jp-OutputArea-output', { hasText: /^3\s*$/ }).waitFor();

    await editor.click();
    await page.keyboard.insertText('println!("begun");\nloop {}');
    await page.keyboard.press('Shift+Enter');
    await page.locator('.jp-OutputArea-output', { hasText: 'begun' }).waitFor();
    const start = Date.now();
    await menu(page, 'Kernel', 'Interrupt Kernel');
    await page.locator('.jp-OutputArea-output', { hasText: 'the cell was stopped' }).waitFor();
    assert.ok(Date.now() - start < 3000, `${Date.now() - start} ms`);
    await editor.click();
    await page.keyboard.insertText('println!("{}", 6 * 7);');
    await page.keyboard.press('Shift+Enter');
    await page.locator('.jp-OutputArea-output', { hasText: /^42\s*$/ }).waitFor();
    await page.close();
});
