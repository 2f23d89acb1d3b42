// Pages of a browser that a test uses as people do, by way of Playwright. One request a line
// of standard input, one answer a line of standard output; it ends with its input.
//   node pages.mjs PLAYWRIGHT CHROMIUM [FLAG OF CHROMIUM]…

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const [, , playwright, executablePath, ...flags] = process.argv;
const { chromium } = createRequire(import.meta.url)(playwright);

const args = [
  '--no-sandbox',
  '--disable-quic',
  '--no-proxy-server',
  // Without it a browser has no candidates on loopback, which is all that there is.
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  ...flags,
];
const browser = await chromium.launch({ executablePath, args });
const pages = new Map();

// A page of somebody: nothing is shared with the others.
async function open({ name, url }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const said = [];
  pages.set(name, { page, said });
  page.on('pageerror', (error) => said.push(`uncaught: ${error.stack}`));
  page.on('console', (line) => said.push(`${line.type()}: ${line.text()} ${line.location().url}`));
  await page.goto(url);
}

// Playwright's own way of waiting evaluates text within the page, which its policy forbids.
async function wait({ page, script, ms }) {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    const value = await page.evaluate(script);
    if (value) return value;
    await new Promise((done) => { setTimeout(done, 50); });
  }
  throw new Error(`not within ${ms} ms`);
}

const tasks = {
  open,
  fill: ({ page, selector, value }) => page.fill(selector, value),
  click: ({ page, selector }) => page.click(selector),
  evaluate: ({ page, script }) => page.evaluate(script),
  wait,
  said: ({ name }) => pages.get(name).said,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { task, ...asked } = JSON.parse(line);
  let answer;
  try {
    const page = pages.get(asked.name)?.page;
    answer = { value: (await tasks[task]({ ...asked, page })) ?? null };
  } catch (error) {
    answer = { error: `${error}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
