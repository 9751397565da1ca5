// `cargo book` for a test, on a free port, and requests that no browser would send.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Starts the server; it may have to build the tool first. */
export async function serve() {
    // CARGO_BOOK: a tool that is built already.
    const [program, ...words] = (process.env.CARGO_BOOK ?? 'cargo book').split(' ');
    const child = spawn(program, [...words, '--port', '0'], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout });
    const ended = once(child, 'exit').then(([code]) => {
        throw new Error(`cargo book ended with ${code} before it printed an address`);
    });
    const [address] = await Promise.race([once(lines, 'line'), ended]);
    ended.catch(() => {});
    return {
        address: new URL(address),
        /** Ends it as the system does, and waits. */
        async end() {
            if (child.exitCode !== null) return child.exitCode;
            const gone = once(child, 'exit');
            child.kill('SIGTERM');
            const [code] = await gone;
            return code;
        },
    };
}

/** The status and text of an answer to a request with these headers. */
export function ask(address, headers) {
    return new Promise((resolve, reject) => {
        const request = http.get(address, { headers }, answer => {
            let text = '';
            answer.setEncoding('utf8');
            answer.on('data', piece => { text += piece; });
            answer.on('end', () => resolve({ status: answer.statusCode, text }));
        });
        request.on('error', reject);
    });
}
