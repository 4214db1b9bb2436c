// What a screen reader is told: the pages as trees of roles and names, and what the live regions say, once each.
import {readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {asksUntil, chooseUser, signIn, signInButton} from './words.mjs';

// The trees as they should be, one after the other, each under its name.
const file = fileURLToPath(new URL('../testdata/spoken.txt', import.meta.url));

// What is another each time: times, numbers that count up, addresses, and how far something is.
const changes = /\d+\.\d+\.\d+\.\d+|[A-Z0-9]{26}|\d\d?:\d\d(:\d\d)?|\d+ (h|min|s)\b|\d\d? \w{3,4}(?= \d{4}|,)|\b20\d\d\b|\d+(?= %| more)|(?<=no\. )\d+|Issued|Renewed|(?<=last used ).*/gu;

export default async function ({origin, write, profile, ask, expect, step}) {
  const trees = [];
  const context = await profile({locale: 'en-GB', timezoneId: 'UTC', acceptDownloads: true});
  const page = await context.newPage();
  const button = (name) => page.getByRole('button', {name, exact: true});
  const tree = async (name, part = 'main') => {
    step(name);
    const text = await page.locator(part).ariaSnapshot();
    trees.push(`# ${name}\n${text.replace(changes, '…').replace(/Good (morning|afternoon|evening|night)/, 'Good day')}\n`);
  };
  // Keeps what every live region says from now on, in each page that is loaded.
  await context.addInitScript(() => {
    window.said = [];
    const live = '[role=status], [role=alert], [aria-live=polite]';
    const say = (node) => {
      const region = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node)?.closest?.(live) ?? node.querySelector?.(live);
      const text = region?.textContent.trim();
      if (text && region.getAttribute('aria-live') !== 'off') window.said.push(text);
    };
    new MutationObserver((records) => {
      const nodes = new Set(records.flatMap((r) => (r.type === 'characterData' ? [r.target] : [...r.addedNodes])).filter((n) => n.isConnected));
      for (const node of nodes) say(node);
    }).observe(document, {childList: true, subtree: true, characterData: true});
  });
  const times = (text) => page.evaluate((text) => window.said.filter((said) => said.includes(text)).length, text);
  const once = async (text) => {
    await page.waitForFunction((text) => window.said.some((said) => said.includes(text)), text);
    await page.waitForTimeout(300); // for one that is too much
    expect(await times(text) === 1, `“${text}” is said once, of ${JSON.stringify(await page.evaluate(() => window.said))}`);
  };

  await page.goto(origin + '/orders/ord_0001');
  await signInButton(page).waitFor();
  await tree('a visitor', 'body');
  await signInButton(page).click();
  await chooseUser(page, 'Ada');
  await page.getByText('There is no such order').waitFor();
  await page.goto(origin + '/');
  await page.getByRole('region', {name: 'Live'}).getByText('Nothing has happened').waitFor();
  await page.getByText('Live: should you').waitFor();
  await page.getByRole('region', {name: 'Live'}).getByRole('status').getByText('Live', {exact: true}).waitFor();
  await button('Order').click();
  await page.locator('.mistake').first().waitFor();
  await tree('the overview, with a mistake', 'body');
  await page.getByLabel('Item').fill('Felt hat');
  await button('Order').click();
  await once('Ordered: 1 × Felt hat.');
  await once('Felt hat was packed.');
  await page.getByRole('link', {name: 'Orders', exact: true}).click();
  await page.locator('ul.orders li').getByText('shipped').waitFor();
  await tree('the orders');
  await page.locator('ul.orders a').first().click();
  await page.getByRole('heading', {name: 'Order ord_0001', level: 1}).waitFor();
  await tree('an order');
  await ask('an-hour-later');
  await page.goto(origin + '/bff/login?return_to=/orders/ord_0001');
  await button('Refund').click();
  await page.getByRole('dialog').waitFor();
  await tree('the question before a refund');
  await button('Sign in again').click();
  await chooseUser(page, 'Ada');
  await page.getByText('is ready to confirm').waitFor();
  await button('Refund').click();
  await once('Refunded: 1 × Felt hat.');
  await tree('a refund that is made');

  await page.getByRole('link', {name: 'Export', exact: true}).click();
  await button('Export all orders').click();
  await page.waitForFunction(() => document.querySelector('progress')?.value > 0);
  await tree('an export on its way');
  await once('The export is ready.');
  await tree('an export that is ready');

  await page.getByRole('link', {name: 'Account'}).click();
  await page.getByRole('region', {name: 'Access token'}).getByText(/ago/).waitFor();
  await page.getByText('this one').waitFor();
  await tree('the account');
  await button('Stay signed in').click();
  await once('You stay signed in.');

  const session = (url) => url.pathname === '/bff/session';
  await context.route(session, (route) => route.fulfill({status: 503, contentType: 'application/problem+json', body: '{"type":"urn:cloakroom:problem:draining","title":"Restarting","status":503,"code":"draining"}'}));
  await asksUntil(page, '.float .notice');
  await once('The gateway is restarting.');
  await page.waitForTimeout(2_500); // it tries again meanwhile, in vain
  expect(await times('The gateway is restarting.') === 1, 'a try that fails is no news');
  await context.unroute(session);
  await once('It works again.'); // by itself

  const said = await page.evaluate(() => fetch('/bff/session', {headers: {'X-CSRF': '1'}}).then((r) => r.json()));
  await context.route(session, (route) => route.fulfill({json: {...said, session: {...said.session, idle_expires_in: 33}}}));
  await asksUntil(page, 'dialog[open]');
  await page.waitForFunction(() => document.querySelector('dialog .digits')?.textContent === '0:29');
  await once('30 seconds left.');
  expect(await times('0:3') === 0, `no second is read out: ${JSON.stringify(await page.evaluate(() => window.said))}`);
  await tree('the session ends soon', 'dialog');
  await context.unroute(session);
  await page.getByRole('dialog').getByRole('button', {name: 'Stay signed in'}).click();
  await page.getByRole('dialog').waitFor({state: 'detached'});

  const other = await context.newPage();
  await other.goto(origin + '/');
  await other.getByRole('button', {name: 'Sign out'}).click();
  await signInButton(other).waitFor();
  await signInButton(page).waitFor();
  await once('this page is signed out as well');
  await tree('signed out in another tab');

  if (write) writeFileSync(file, trees.join('\n'));
  const want = readFileSync(file, 'utf8').split(/^(?=# )/m), got = trees.join('\n').split(/^(?=# )/m);
  for (const [i, one] of got.entries()) expect(one === want[i], `${want[i]}\nnot\n${one}`);
  expect(got.length === want.length, `${want.length} trees, not ${got.length}`);
}
