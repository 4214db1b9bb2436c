// Runs one journey in Chromium: node run.mjs JOURNEY, with what it needs as one JSON line on standard input.
//
// It speaks with the test that started it in JSON lines. Out: {answer: …} for every answer the browser got, {stored: …} for
// what it holds at the end, {ask: …} when the journey wants something done outside (the test answers "ok …" on standard input),
// {step: …} as it goes, and at last {done: true} or {failed: "…"}.
import {chromium} from 'playwright-core';
import readline from 'node:readline';

const lines = readline.createInterface({input: process.stdin})[Symbol.asyncIterator]();
const line = async () => (await lines.next()).value;
const tell = (message) => process.stdout.write(JSON.stringify(message) + '\n');

// Without these, Chromium asks hosts of its maker at every start; a container's root has no sandbox.
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

const given = JSON.parse(await line());
const journey = await import(`./journeys/${process.argv[2]}.mjs`);
const browser = await chromium.launch({executablePath: given.chromium, args: [...args, ...given.args ?? []], ignoreDefaultArgs: given.without ?? []});
const contexts = [];

// A profile: its own cookies and storage. Every answer that it gets is told to a test that hears them, so that it can look for
// secrets in it. Its user asks for less motion, which costs two busy cores a seventh of their time, unless a journey wants all.
async function profile(options = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, reducedMotion: 'reduce', ...options});
  context.setDefaultTimeout(30_000); // a busy machine; a step that needs longer hangs
  context.told = [];
  if (given.hears) context.on('response', (response) => context.told.push(tellAnswer(response)));
  contexts.push(context);
  return context;
}

// A profile with settings of its own, kept in a folder.
async function persistent(folder) {
  const context = await chromium.launchPersistentContext(folder, {executablePath: given.chromium, args: [...args, ...given.args ?? []]});
  context.setDefaultTimeout(30_000);
  return context;
}

const kept = new Set(); // addresses whose bytes never change: they are read once, however many pages load them
let enough; // to wait for answers: of a page that went into the browser's memory some never come to their end
const read = new Promise((_, reject) => (enough = reject));
read.catch(() => {});

async function tellAnswer(response) {
  const type = response.request().resourceType();
  try {
    // A stream has no end, a redirect no body; headers are there for both.
    const whole = type !== 'eventsource' && response.status() < 300 || response.status() >= 400;
    const headers = await Promise.race([response.allHeaders(), read]);
    const again = kept.has(response.url());
    if (response.status() === 200 && (headers['cache-control'] ?? '').includes('immutable')) kept.add(response.url());
    const body = whole && !again && !(headers['content-type'] ?? '').startsWith('text/event-stream') ? (await Promise.race([response.body(), read])).toString('latin1') : '';
    tell({answer: {url: response.url(), status: response.status(), method: response.request().method(), headers, body}});
  } catch (gone) { // the page moved on before the body was read
    tell({answer: {url: response.url(), status: response.status(), method: response.request().method(), headers: response.headers(), body: '', unread: true}});
  }
}

// What a script of this page can get at.
async function stored(page) {
  const held = await page.evaluate(async () => ({
    cookie: document.cookie,
    local: JSON.stringify(localStorage), session: JSON.stringify(sessionStorage),
    databases: (await indexedDB.databases()).map((d) => d.name),
    caches: await caches.keys(), globals: Object.keys(window).filter((k) => /token/i.test(k)),
    html: document.documentElement.outerHTML,
  }));
  tell({stored: held});
  return held;
}

function expect(holds, what) {
  if (!holds) throw new Error(`expected: ${what}`);
}

async function ask(what) {
  tell({ask: what});
  const answer = await line();
  expect(answer.startsWith('ok '), `${what}: ${answer}`);
  return answer.slice(3);
}

let failed;
try {
  await journey.default({...given, browser, profile, persistent, stored, expect, ask, step: (text) => tell({step: text})});
} catch (error) {
  failed = error.stack;
  for (const page of contexts.flatMap((c) => c.pages())) {
    failed += `\n--- ${page.url()}\n` + await page.locator('body').innerText({timeout: 1000}).catch(() => '(no text)');
  }
}
setTimeout(enough, 10_000, new Error('the journey is over')); // a busy machine; what is there by then is told with its body
await Promise.allSettled(contexts.flatMap((c) => c.told));
await browser.close();
tell(failed ? {failed} : {done: true});
process.exit(failed ? 1 : 0);
