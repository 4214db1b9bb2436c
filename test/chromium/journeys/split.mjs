// An app whose pages stand at another origin than its gateway.
import {chooseUser} from './words.mjs';

// What a script of a page finds out about the gateway by itself: the status, or the name of the error.
const read = (page, url, init = {}) => page.evaluate(([url, init]) => fetch(url, {credentials: 'include', ...init})
  .then((answer) => answer.status, (error) => error.name), [url, init]);

// What a WebSocket says first, or that it closed.
const hear = (page, url) => page.evaluate((url) => new Promise((done) => {
  const socket = new WebSocket(url);
  socket.onmessage = (message) => { done(message.data); socket.close(); };
  socket.onclose = () => done('closed');
}), url);

const call = (page, url, init) => page.evaluate(([url, init]) => client.fetch(url, init)
  .then(async (answer) => `${answer.status} ${await answer.text()}`, (error) => error.code), [url, init]);

const status = (page, want) => page.locator('main', {hasText: new RegExp(`^${want}$`)}).waitFor();

export default async function ({origin, www, sibling, profile, expect, stored, step}) {
  const context = await profile();
  const page = await context.newPage();

  step('a first visit, and a call that nobody may make yet');
  await page.goto(www + '/orders?x=1#part');
  await status(page, 'signed-out');
  expect(await call(page, '/api/orders') === 'session_required', 'the refusal can be read');

  step('signing in leads to the provider and back to the very address, with no click in between');
  void page.evaluate(() => { void client.login(); });
  await chooseUser(page, 'Ada');
  await page.waitForURL(www + '/orders?x=1#part');
  await status(page, 'signed-in');
  expect((await stored(page)).cookie === '', 'no cookie of this origin');

  step('calls, by the address of the gateway or relative to it');
  expect((await call(page, origin + '/api/orders')).startsWith('200 '), 'a GET');
  expect(/^20[01] /.test(await call(page, '/api/orders', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{"item":"coat","quantity":1}'})), 'a POST with a body');
  expect(await call(page, '/dead/x') === 'upstream_unavailable', 'an outage of the API can be read');
  expect(await call(page, www + '/api/orders') === 'foreign_url', 'the origin of the page is no gateway');
  expect(await read(page, origin + '/api/orders') === 403, 'a call without the header is refused, which can be read');
  expect(await read(page, origin + '/') === 'TypeError', 'files of the gateway cannot be read');
  expect(await read(page, origin + '/bff/login') === 'TypeError', 'nor can a sign-in be fetched');
  expect(await hear(page, origin.replace('http', 'ws') + '/live') === 'hello from the API', 'a WebSocket');

  step('a sibling that is not listed');
  const other = await context.newPage();
  await other.goto(sibling + '/');
  for (const init of [{headers: {'X-CSRF': '1'}}, {}, {method: 'POST'}]) {
    expect(await read(other, origin + '/api/orders', init) === 'TypeError', 'reads nothing');
    expect(await read(other, origin + '/bff/session', init) === 'TypeError', 'nor who is signed in');
  }
  await other.close();

  step('two tabs share one stream, and both are told of a sign-out');
  const tab = await context.newPage();
  await tab.goto(www + '/second');
  await status(tab, 'signed-in');
  await page.waitForFunction(() => client.hearing() === 'at-once');
  await tab.waitForFunction(() => client.hearing() === 'at-once');
  void page.evaluate(() => { void client.logout(); });
  await page.waitForURL((url) => url.href.startsWith(www + '/bye'));
  await status(page, 'signed-out');
  await status(tab, 'signed-out');

  step('the provider is signed out, too');
  await page.goto(www + '/again');
  await status(page, 'signed-out');
  void page.evaluate(() => { void client.login(); });
  await page.getByRole('button', {name: /Ada/}).waitFor();
}
