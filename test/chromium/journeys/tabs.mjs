// Three tabs of one app: they share one stream, are signed out at once, say so, and one sign-in brings them all back; also when the
// tab that had the stream is closed just before, or frozen.
import {watchFor} from './apps.mjs';
import {accessible} from './axe.mjs';
import {chooseUser, signIn, signInButton} from './words.mjs';

export default async function ({origin, within, profile, expect, step}) {
  const context = await profile();
  let streams = 0, leader; // those that were asked for, and the tab that asked for the last one
  const isStream = (of) => new URL(of.url()).pathname === '/bff/events';
  context.on('request', (request) => {
    if (!isStream(request)) return;
    leader = request.frame().page();
    streams++;
  });
  const first = await context.newPage();
  await signIn(first, origin + '/');
  await first.getByText('Live: should you').waitFor();
  const [orders, account] = [await context.newPage(), await context.newPage()];
  await orders.goto(origin + '/orders');
  await orders.getByRole('heading', {name: 'Orders', level: 1}).waitFor();
  await account.goto(origin + '/account');
  await account.getByText('Live: should you').waitFor();
  expect(streams === 1, `one stream for all, not ${streams}`);

  step('signed out in one: the others say so, untouched');
  const seen = [await watchFor(orders, 'You have signed out'), await watchFor(account, 'You have signed out')];
  const began = Date.now();
  await first.getByRole('button', {name: 'Sign out'}).click();
  for (const [i, tab] of [orders, account].entries()) {
    const took = await seen[i](within + 10_000) - began;
    expect(took <= within, `tab ${i + 2} within ${within} ms, not ${took}`);
    expect(await tab.title() === 'Signed out · Cloakroom Coats', 'the tab says it by its name');
    expect(!/Lovelace|ada@example/.test(await tab.locator('body').innerText()), 'nothing of Ada in a tab that was left open');
  }
  await signInButton(first).waitFor();
  await accessible(orders, 'signed out elsewhere');
  await orders.emulateMedia({colorScheme: 'dark'});
  await orders.setViewportSize({width: 360, height: 740});
  await accessible(orders, 'signed out elsewhere, dark, on a phone');

  expect(streams === 1, `the lead passes on to nobody at a session's end, not to ${streams - 1}`);

  step('a sign-in in the second leads back to where it was, and brings the third back untouched');
  await signInButton(orders).click();
  await chooseUser(orders, 'Ada');
  await orders.getByRole('heading', {name: 'Orders', level: 1}).waitFor();
  expect(orders.url() === origin + '/orders', `back at the orders, not ${orders.url()}`);
  await account.getByRole('heading', {name: 'Ada Lovelace', level: 1}).waitFor();

  step('the tab with the stream is closed, and another one signs out in the same breath');
  await first.getByRole('heading', {name: /Ada/, level: 1}).waitFor();
  await first.getByText('Live: should you').waitFor();
  const left = [first, orders, account].filter((tab) => tab !== leader);
  const [leaving, staying] = left;
  const told = await watchFor(staying, 'You have signed out');
  await leader.close();
  const parted = Date.now();
  await leaving.getByRole('button', {name: 'Sign out'}).click();
  expect(await told(within + 10_000) - parted <= within, `the other one within ${within} ms`);
  await signInButton(leaving).waitFor();

  step('closed again, and the session is ended from another device: the next tab has the stream, and tells the others why');
  await signInButton(staying).click();
  await chooseUser(staying, 'Ada');
  const more = await context.newPage();
  await more.goto(origin + '/account');
  for (const tab of [leaving, staying, more]) await tab.getByRole('button', {name: 'Sign out'}).waitFor();
  await more.getByText('Live: should you').waitFor();
  const elsewhere = await (await profile()).newPage();
  await signIn(elsewhere, origin + '/account');
  const rest = [leaving, staying, more].filter((tab) => tab !== leader);
  const known = [await watchFor(rest[0], 'You have signed out'), await watchFor(rest[1], 'You have signed out')];
  const before = streams;
  const next = context.waitForEvent('response', isStream);
  await leader.close();
  await next;
  const ended = Date.now();
  await elsewhere.getByRole('button', {name: 'End all others'}).click();
  for (const seen of known) {
    const took = await seen(within + 10_000) - ended;
    expect(took <= within, `within ${within} ms, not ${took}`);
  }
  expect(streams === before + 1, `one stream after the one that was closed, not ${streams - before}`);

  step('the tab with the stream is frozen and not told so, as on a phone: the tab that is looked at takes over');
  const beside = await elsewhere.context().newPage();
  await beside.goto(origin + '/account');
  await beside.getByText('Live: should you').waitFor();
  const cdp = await elsewhere.context().newCDPSession(elsewhere); // Chromium's own freezing tells the page, and lets it answer
  await cdp.send('Debugger.enable');
  const stopped = new Promise((resolve) => cdp.once('Debugger.paused', resolve));
  void cdp.send('Runtime.evaluate', {expression: 'debugger'}).catch(() => {});
  await stopped;
  const [taken] = await Promise.all([
    elsewhere.context().waitForEvent('response', isStream),
    beside.evaluate(() => window.dispatchEvent(new Event('focus'))), // each tab of this browser has it already
  ]);
  expect(taken.ok() && taken.frame().page() === beside, 'a stream of the tab that is looked at');
  const heard = await watchFor(beside, 'You have signed out');
  await signInButton(rest[0]).click(); // the provider still knows who is there
  await rest[0].getByRole('button', {name: 'Sign out'}).waitFor();
  await rest[0].goto(origin + '/account');
  const over = Date.now();
  await rest[0].getByRole('button', {name: 'End all others'}).click();
  expect(await heard(within + 10_000) - over <= within, `beside a frozen tab within ${within} ms`);
  await cdp.send('Debugger.resume');
  await elsewhere.getByText('You have signed out').first().waitFor();
}
