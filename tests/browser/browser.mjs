// Chromium with an empty profile, and nothing that it would fetch by itself.

import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

const FLAGS = [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

/** A browser; `end` closes it and removes its profile. */
export async function launch(options) {
    const profile = await mkdtemp(path.join(os.tmpdir(), 'candlelight-browser-'));
    const context = await chromium.launchPersistentContext(profile, {
        executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
        headless: true,
        args: FLAGS,
        viewport: { width: 1200, height: 900 },
        ...options,
    });
    return {
        context,
        async end() {
            await context.close();
            await rm(profile, { recursive: true, force: true });
        },
    };
}
