// A day with the demo: a deep link, a sign-in, orders, a renewed token, a second tab, and a sign-out.
import {chooseUser, signInButton, tokenNumber} from './words.mjs';

export default async function ({origin, profile, stored, expect, step}) {
  const context = await profile({reducedMotion: 'no-preference'});
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(`${message.text()} ${message.location().url}`));

  step('a first visit, of a deep link: nothing is asked of anybody else, and nothing is left in the browser');
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(origin + '/orders?from=mail#item');
  await signInButton(page).waitFor();
  expect(!(await page.locator('body').innerText()).includes('@example.com'), 'nobody is named before the sign-in');
  const foreign = asked.filter((url) => new URL(url).origin !== origin && !url.startsWith('data:'));
  expect(asked.length > 0 && foreign.length === 0, `requests of its own origin alone, not of ${foreign}`);
  expect((await context.cookies()).length === 0, 'no cookie before the sign-in');

  step('sign in, and back at the deep link');
  await signInButton(page).click();
  await chooseUser(page, 'Ada');
  await page.getByRole('heading', {name: 'Orders', level: 1}).waitFor();
  expect(page.url() === origin + '/orders?from=mail#item', `the very address, not ${page.url()}`);

  step('place an order');
  const item = `Top hat ${Date.now() % 1000}`;
  await page.getByLabel('Item').fill(item);
  await page.getByLabel('Quantity').fill('2');
  await page.getByRole('button', {name: 'Order', exact: true}).click();
  await page.locator('ul.orders li:not(.pending)').getByText(item).waitFor();

  step('the token is renewed');
  await page.getByRole('link', {name: 'Account'}).click();
  await page.getByRole('region', {name: 'Access token'}).getByText(/ago/).waitFor();
  const first = await tokenNumber(page);
  await page.waitForFunction((n) => Number(document.querySelector('section[aria-labelledby=token] .digits')?.textContent) > n, first, {timeout: 60_000});

  step('what the browser holds');
  const held = await stored(page);
  expect(held.cookie === '', `an empty document.cookie, not ${held.cookie}`);
  expect(held.local === '{}' && held.session === '{}' && held.databases.length === 0 && held.caches.length === 0, 'no storage');
  const cookies = (await context.cookies(origin)).filter((c) => c.name.startsWith('__Host-'));
  expect(cookies.length === 1 && cookies[0].httpOnly && cookies[0].secure && cookies[0].sameSite === 'Strict', `one cookie that no script reads, not ${cookies.map((c) => c.name)}`);

  step('reload');
  await page.goto(origin + '/orders');
  await page.reload();
  await page.locator('ul.orders li:not(.pending)').getByText(item).waitFor();

  step('a second tab');
  const other = await context.newPage();
  await other.goto(origin + '/');
  await other.getByRole('heading', {name: /Ada/, level: 1}).waitFor();

  step('sign out');
  await page.getByRole('button', {name: 'Sign out'}).click();
  await signInButton(page).waitFor();
  expect(page.url().startsWith(origin + '/'), `back at the app, not ${page.url()}`);
  expect((await context.cookies(origin)).every((c) => !/^__Host-Http-web$/.test(c.name)), 'no session cookie');

  step('the second tab learns of it by itself');
  await signInButton(other).waitFor();
  expect(!(await other.locator('body').innerText()).includes('Lovelace'), 'no name in the second tab');

  expect(problems.length === 0, `a quiet console: ${problems.join('; ')}`);
}
