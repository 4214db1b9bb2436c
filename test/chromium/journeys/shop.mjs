// The shop in two tabs: orders, the live view, and an export.
import {readFileSync} from 'node:fs';
import {hasFocus, signIn, signInButton} from './words.mjs';

export default async function ({origin, profile, ask, expect, step}) {
  const context = await profile({viewport: {width: 1280, height: 860}, colorScheme: 'light', acceptDownloads: true});
  const page = await context.newPage();
  const button = (name) => page.getByRole('button', {name, exact: true});
  const write = async (item) => {
    await page.getByLabel('Item').fill(item);
    await button('Order').click();
  };
  const until = async (what, wanted) => {
    for (let got = '', i = 0; got !== wanted; i++) {
      expect(i < 600, `${what}: ${wanted}, not ${got}`); // 30 s on a busy machine
      got = await ask(what);
      await page.waitForTimeout(50);
    }
  };
  const line = (of, item) => of.locator('ul.orders li').filter({hasText: item});

  step('nothing yet');
  await signIn(page, origin + '/orders');
  await page.getByText('No orders yet').waitFor();
  const other = await context.newPage();
  await other.goto(origin + '/');
  const live = other.getByRole('region', {name: 'Live'});
  await live.getByRole('status').getByText('Live', {exact: true}).waitFor();
  await live.getByText('Nothing has happened').waitFor();

  step('an order is there at once, and marked until the API has answered');
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route('**/api/orders', async (route) => {
    if (route.request().method() === 'POST') await held;
    await route.continue();
  });
  await write('Felt hat');
  await page.locator('ul.orders li.pending').filter({hasText: 'Felt hat'}).getByText('placing…').waitFor();
  release();
  await page.locator('ul.orders li:not(.pending)').filter({hasText: 'Felt hat'}).waitFor();
  await page.unroute('**/api/orders');
  expect(await line(page, 'Felt hat').count() === 1, 'it is there once');
  expect(await page.getByLabel('Item').inputValue() === '', 'and typed no more');

  step('the other tab hears of it, and of what the warehouse does');
  await line(other, 'Felt hat').waitFor();
  await live.getByRole('listitem').filter({hasText: 'Felt hat'}).getByText('placed').waitFor();
  await line(other, 'Felt hat').getByText('packed').waitFor();
  await line(page, 'Felt hat').getByText('packed').waitFor();
  await live.getByRole('listitem').filter({hasText: 'Felt hat'}).getByText('packed').waitFor();

  step('an order that is refused is taken back, with what was typed kept');
  await page.route('**/api/orders', (route) => (route.request().method() === 'POST' ? route.fulfill({status: 409, json: {error: 'too_many_orders'}}) : route.continue()));
  await write('Cape');
  await page.getByRole('alert').getByText('Your order is not placed.').waitFor();
  expect(await line(page, 'Cape').count() === 0 && await page.getByLabel('Item').inputValue() === 'Cape', 'taken back, and still typed');
  await page.unroute('**/api/orders');
  await button('Order').click();
  await page.locator('ul.orders li:not(.pending)').filter({hasText: 'Cape'}).waitFor();
  await page.getByRole('alert').waitFor({state: 'detached'});

  step('an order without a network');
  await context.setOffline(true);
  await write('Muff');
  await page.getByRole('alert').getByText('Whether it was placed is not known').waitFor();
  expect(await line(page, 'Muff').count() === 0 && await page.getByLabel('Item').inputValue() === 'Muff', 'taken back, and still typed');
  expect(await line(page, 'Cape').count() === 1, 'what was read stays');
  await context.setOffline(false);
  await page.locator('ul.orders li:not(.pending)').filter({hasText: 'Cape'}).waitFor();

  step('the gateway is replaced: the live view is there again by itself, and missed nothing');
  await ask('another-gateway');
  await live.getByRole('status').getByText('Live', {exact: true}).waitFor({timeout: 30_000});
  await page.getByLabel('Item').fill('Gloves');
  await button('Order').click();
  await page.locator('ul.orders li:not(.pending)').filter({hasText: 'Gloves'}).waitFor({timeout: 30_000});
  await line(other, 'Gloves').waitFor({timeout: 30_000});
  await live.getByRole('status').getByText('Live', {exact: true}).waitFor({timeout: 30_000});

  step('an order of nobody');
  await page.goto(origin + '/orders/ord_9999');
  await page.getByText('There is no such order of yours.').waitFor();

  step('an export is cancelled');
  await page.getByRole('link', {name: 'Export', exact: true}).click();
  const slowly = (route) => route.continue({url: origin + '/api/orders/export?ms=3000'}); // a minute, for a busy machine
  await page.route('**/api/orders/export', slowly);
  await button('Export all orders').click();
  const bar = page.getByRole('progressbar', {name: 'Export'});
  await page.waitForFunction(() => document.querySelector('progress')?.value > 0);
  await button('Cancel').click();
  await bar.waitFor({state: 'detached'});
  await hasFocus(button('Export all orders'), 'where one begins');
  await until('exports', '0'); // the API is not kept busy
  await page.unroute('**/api/orders/export', slowly);

  step('its connection breaks: it begins anew, and goes on while other pages are looked at');
  await button('Export all orders').click();
  await page.waitForFunction(() => document.querySelector('progress')?.value > 2);
  await ask('cut');
  await page.getByText('The connection broke.').first().waitFor();
  await page.getByText('begun anew').waitFor({timeout: 30_000});
  await page.getByRole('link', {name: 'Orders', exact: true}).click();
  await line(page, 'Gloves').waitFor();
  await page.getByRole('link', {name: 'Export', exact: true}).click();
  const link = page.getByRole('link', {name: 'Download'});
  await link.waitFor({timeout: 30_000});
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  expect(/^orders-\d{4}-\d\d-\d\d\.csv$/.test(download.suggestedFilename()), `a file with a name, not ${download.suggestedFilename()}`);
  const text = readFileSync(await download.path(), 'utf8');
  expect(text.startsWith('"order","item",') && text.includes('Felt hat') && text.includes('Gloves'), `the orders, not ${text.slice(0, 200)}`);

  step('with the session, stream and feed end');
  await page.route('**/api/orders/export', slowly);
  await button('Export all orders').click();
  await bar.waitFor();
  await until('exports', '1');
  await until('feeds', '2');
  await other.getByRole('button', {name: 'Sign out'}).click();
  await signInButton(other).waitFor();
  await bar.waitFor({state: 'detached'});
  await until('exports', '0');
  await until('feeds', '0');
  expect(!(await page.locator('body').innerText()).includes('Gloves'), 'nothing of Ada is left on the page');
}
